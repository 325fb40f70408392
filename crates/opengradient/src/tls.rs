//! The certificate that clients pin: self-signed, with a key of its own on P-256.
//!
//! Clients take the registry's certificate as their only trust anchor and check no name, so it has
//! to be its own issuer; they do check its dates.

use crate::signing::KeyError;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    PublicKeyData as _,
};
use std::{fmt, ops::RangeInclusive};
use time::OffsetDateTime;
use webpki::EndEntityCert;
use zeroize::Zeroizing;

/// From when until when a certificate is valid, in whole seconds of Unix time.
pub type Validity = RangeInclusive<i64>;

/// What the certificate says it is for, beside its names.
const COMMON_NAME: &str = "OpenGradient gateway";

/// A certificate and its private key.
pub struct TlsIdentity {
    certificate: Vec<u8>,
    private_key: Zeroizing<Vec<u8>>,
}

impl TlsIdentity {
    /// A new key and a certificate of it for `names`, each a DNS name or an IP address.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if a name or a date is none, [`KeyError::Library`].
    pub fn generate(names: &[String], validity: &Validity) -> Result<Self, KeyError> {
        let date = |seconds: &i64| {
            OffsetDateTime::from_unix_timestamp(*seconds)
                .map_err(|_| KeyError::Malformed("valid between dates that exist"))
        };
        let mut parameters = CertificateParams::new(names)
            .map_err(|_| KeyError::Malformed("for DNS names and IP addresses only"))?;
        parameters.not_before = date(validity.start())?;
        parameters.not_after = date(validity.end())?;
        parameters.distinguished_name = DistinguishedName::new();
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, COMMON_NAME);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(|_| KeyError::Library("making a key of P-256"))?;
        let certificate = parameters
            .self_signed(&key)
            .map_err(|_| KeyError::Library("signing a certificate"))?;
        Ok(Self {
            certificate: certificate.der().to_vec(),
            private_key: Zeroizing::new(key.serialize_der()),
        })
    }

    /// Joins a certificate in DER with its private key in PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if they are no such things, or do not belong together.
    pub fn from_parts(
        certificate: Vec<u8>,
        private_key: Zeroizing<Vec<u8>>,
    ) -> Result<Self, KeyError> {
        let key = KeyPair::try_from(private_key.as_slice())
            .map_err(|_| KeyError::Malformed("a TLS key in PKCS#8"))?;
        let der = certificate.as_slice().into();
        let parsed = EndEntityCert::try_from(&der)
            .map_err(|_| KeyError::Malformed("beside a certificate in DER"))?;
        if parsed.subject_public_key_info().as_ref() != key.subject_public_key_info() {
            return Err(KeyError::Malformed("the one of its certificate"));
        }
        Ok(Self {
            certificate,
            private_key,
        })
    }

    /// The certificate in DER: what the registry holds and clients pin.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key in PKCS#8 DER, for the TLS server.
    pub fn private_key(&self) -> &[u8] {
        &self.private_key
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsIdentity")
            .field("certificate_bytes", &self.certificate.len())
            .finish_non_exhaustive()
    }
}
