//! All keys of one gateway, and the file that they are kept in.

use crate::{
    ohttp::{self, OhttpKey, SignedConfig},
    signing::{KeyError, SigningKey},
    tls::{TlsIdentity, Validity},
};
use pem::{EncodeConfig, LineEnding, Pem};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Longest file that is read, in bytes; one that is written has about 3,000.
const MAX_IDENTITY_BYTES: usize = 64 * 1024;
/// The first line of a file: what it is, and its version.
const TITLE: &str = "OpenGradient gateway identity, version 1: keep secret";
/// The blocks of a file, in order.
const LABELS: [&str; 4] = ["PRIVATE KEY", "CERTIFICATE", "PRIVATE KEY", "PRIVATE KEY"];
/// PKCS#8 of an X25519 key (RFC 8410) up to its 32 bytes.
const X25519_PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
];

/// Why a file gives no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It is too long, has another title, or other blocks.
    #[error(
        "this is not an identity of a gateway, version 1: its first line has to be \"{TITLE}\", and a private key, a certificate and two private keys in PEM have to follow"
    )]
    Format,
    /// A key in it is wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What makes a gateway the one that a registry lists.
#[derive(Debug)]
pub struct GatewayIdentity {
    /// What it signs answers with.
    pub signing: SigningKey,
    /// What it serves TLS with.
    pub tls: TlsIdentity,
    /// What sealed requests are opened with.
    pub ohttp: OhttpKey,
}

impl GatewayIdentity {
    /// New keys; the certificate is for `names`, each a DNS name or an IP address.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn generate(
        names: &[String],
        validity: &Validity,
        random: &mut impl CryptoRng,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            signing: SigningKey::generate()?,
            tls: TlsIdentity::generate(names, validity)?,
            ohttp: OhttpKey::generate(random),
        })
    }

    /// The OHTTP configuration, signed by the signing key: what `/signing-key` answers as `hpke`.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn signed_ohttp_config(&self) -> Result<SignedConfig, KeyError> {
        SignedConfig::new(&self.ohttp.config(), &self.signing)
    }

    /// The file: a title, and four blocks of PEM.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let signing = self.signing.to_pkcs8()?;
        let ohttp = Zeroizing::new(
            [
                X25519_PKCS8_PREFIX.as_slice(),
                self.ohttp.private_key().as_slice(),
            ]
            .concat(),
        );
        let contents = [
            signing.as_slice(),
            self.tls.certificate(),
            self.tls.private_key(),
            ohttp.as_slice(),
        ];
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        let mut file = Zeroizing::new(format!("{TITLE}\n").into_bytes());
        for (label, content) in LABELS.into_iter().zip(contents) {
            let block = Zeroizing::new(pem::encode_config(&Pem::new(label, content), config));
            file.extend_from_slice(block.as_bytes());
        }
        Ok(file)
    }

    /// Reads a file that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let title = [TITLE.as_bytes(), b"\n"].concat();
        if bytes.len() > MAX_IDENTITY_BYTES || !bytes.starts_with(&title) {
            return Err(IdentityError::Format);
        }
        let blocks = pem::parse_many(bytes).map_err(|_| IdentityError::Format)?;
        if !blocks.iter().map(Pem::tag).eq(LABELS) {
            return Err(IdentityError::Format);
        }
        let contents = blocks.into_iter().map(Pem::into_contents);
        let contents: Vec<_> = contents.map(Zeroizing::new).collect();
        let [signing, certificate, tls, ohttp] = contents.as_slice() else {
            return Err(IdentityError::Format);
        };
        let ohttp = ohttp
            .strip_prefix(&X25519_PKCS8_PREFIX)
            .and_then(|key| <&[u8; ohttp::KEY_BYTES]>::try_from(key).ok())
            .ok_or(KeyError::Malformed("an X25519 key in PKCS#8"))?;
        Ok(Self {
            signing: SigningKey::from_pkcs8(signing)?,
            tls: TlsIdentity::from_parts(certificate.to_vec(), tls.clone())?,
            ohttp: OhttpKey::from_private_key(ohttp),
        })
    }
}
