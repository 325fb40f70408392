//! TLS for a server: its certificate, and handshakes that nobody can draw out.

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Longest time from when a connection is open to the end of its TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The names of HTTP/2 and HTTP/1.1 (RFC 7301), in the order of preference.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
const HTTP_2: &[u8] = b"h2";

/// What a server proves to be who it is with: TLS 1.2 and 1.3, HTTP/2 for clients that offer it.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "TLS cannot be served with this certificate and key: {0}; the certificate has to be X.509 and the key PKCS#8, and they have to belong together"
)]
pub struct TlsError(#[from] rustls::Error);

impl Tls {
    /// A chain of certificates in DER, the server's own first, and its private key in PKCS#8 DER.
    ///
    /// # Errors
    /// [`TlsError`] if they are no such things, or do not belong together.
    pub fn new(chain: &[&[u8]], private_key: &[u8]) -> Result<Self, TlsError> {
        let chain = chain.iter().map(|certificate| certificate.to_vec().into());
        let chain: Vec<CertificateDer<'static>> = chain.collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(private_key).clone_key());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(chain, key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// The client does not speak TLS, trusts another certificate, or took more than
    /// [`HANDSHAKE_TIMEOUT`].
    pub(crate) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        timeout(HANDSHAKE_TIMEOUT, self.0.accept(stream)).await?
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Whether client and server agreed on HTTP/2.
pub(crate) fn speaks_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
}
