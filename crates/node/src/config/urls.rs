//! Checks lists of addresses in a configuration.

use super::{ConfigError, error::invalid};

/// Most inference nodes, and most validators, that a gateway asks.
const MAX_URLS: usize = 256;

/// Checks that `urls` are a few addresses that begin with one of `schemes`.
pub(super) fn check_urls(
    field: &'static str,
    urls: &[String],
    schemes: &[&str],
) -> Result<(), ConfigError> {
    if urls.is_empty() {
        return Err(invalid(field, "at least one address is needed"));
    }
    if urls.len() > MAX_URLS {
        let reason = format!("{} addresses: at most {MAX_URLS} are asked", urls.len());
        return Err(invalid(field, reason));
    }
    let is_known = |url: &String| schemes.iter().any(|scheme| url.starts_with(scheme));
    match urls.iter().find(|url| !is_known(url)) {
        Some(url) => {
            let forms: Vec<_> = schemes
                .iter()
                .map(|scheme| format!("{scheme}HOST:PORT"))
                .collect();
            let forms = forms.join(" or ");
            let reason = format!("{url:?} is not an address of the form {forms}");
            Err(invalid(field, reason))
        }
        None => Ok(()),
    }
}
