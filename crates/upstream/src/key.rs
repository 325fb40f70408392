//! Keys that services want to see.

use crate::UpstreamError;
use hyper::header::HeaderValue;
use std::{collections::BTreeMap, fmt};

/// Keys of other services, by host (with its port, where the file names one).
pub type UpstreamKeys = BTreeMap<String, UpstreamKey>;

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
