//! Trust in one certificate: the gateway's, as the registry has it.

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use std::sync::Arc;

/// TLS to the holder of `certificate` (DER) and nobody else.
///
/// # Errors
/// If it is no certificate.
pub(crate) fn pinned(certificate: &[u8]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pin = Pin::new(certificate, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pin))
        .with_no_client_auth();
    Ok(config)
}

/// Accepts the pinned certificate, and what it signed itself, within their dates. Names are not
/// compared: as for published clients, the registry says whose the certificate is.
#[derive(Debug)]
struct Pin {
    certificate: CertificateDer<'static>,
    anchor: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl Pin {
    fn new(certificate: &[u8], provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let certificate = CertificateDer::from(certificate.to_vec());
        let mut anchor = RootCertStore::empty();
        anchor.add(certificate.clone())?;
        Ok(Self {
            certificate,
            anchor,
            provider,
        })
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.anchor,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        );
        match verified {
            // A certificate that may sign others is refused as a server's own, after its dates were
            // found good. Published clients take it, so the very one that is pinned is good.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if *end_entity == self.certificate =>
            {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified.map(|()| ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
