//! What a node has for the services that its models ask: keys that they want to see, and whose certificates are trusted.

use crate::UpstreamError;
use hyper::header::HeaderValue;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::{collections::BTreeMap, fmt};

/// What a node has for other services; it is no part of a model.
#[derive(Clone, Debug, Default)]
pub struct UpstreamAccess {
    /// Keys, by host (with its port, where the file names one).
    pub keys: BTreeMap<String, UpstreamKey>,
    /// Certificates of authorities that are trusted beside those that browsers trust.
    pub authorities: Vec<UpstreamAuthority>,
}

/// The certificate of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAuthority(pub(crate) CertificateDer<'static>);

impl UpstreamAuthority {
    /// The certificates in a file in PEM, at least one.
    ///
    /// # Errors
    /// [`UpstreamError::Authority`] if there is none, or one cannot be read.
    pub fn read_all(text: &[u8]) -> Result<Vec<Self>, UpstreamError> {
        let found = CertificateDer::pem_slice_iter(text).map(|found| found.map(Self));
        let found: Vec<_> = found
            .collect::<Result<_, _>>()
            .map_err(|error| UpstreamError::Authority(error.to_string()))?;
        match found.is_empty() {
            true => Err(UpstreamError::Authority(
                "there is none in the file".to_owned(),
            )),
            false => Ok(found),
        }
    }
}

/// A key that a service wants to see. It is never shown.
#[derive(Clone)]
pub struct UpstreamKey(String);

impl UpstreamKey {
    /// A key from what a file or variable holds; white space around it is not part of it.
    ///
    /// # Errors
    /// [`UpstreamError::Key`] if it is empty or has characters that no header can hold.
    pub fn new(text: &str) -> Result<Self, UpstreamError> {
        let key = text.trim();
        let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(key.to_owned())).ok_or(UpstreamError::Key)
    }

    /// The header's value, with what stands before the key.
    pub(crate) fn header(&self, before: &str) -> Result<HeaderValue, UpstreamError> {
        let mut value =
            HeaderValue::try_from(format!("{before}{}", self.0)).map_err(|_| UpstreamError::Key)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A text without the key, should a service have repeated it.
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

impl fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamKey(..)")
    }
}
