//! Pictures in a conversation.

use crate::{ApiError, fields::Fields};
use og_types::language::Part;

/// A picture at an address that says where it is, or holds it. `path` is where the request says so.
pub(crate) fn at(path: &str, url: String, detail: Option<String>) -> Result<Part, ApiError> {
    if url.starts_with("https://") || url.starts_with("data:image/") {
        return Ok(Part::Image { url, detail });
    }
    let reason = "must begin with https:// or data:image/";
    Err(ApiError::invalid(path, reason))
}

/// How closely to look, as OpenAI's API says it.
pub(crate) fn detail(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let detail = fields.text("detail")?;
    match detail.as_deref() {
        None | Some("auto" | "low" | "high") => Ok(detail),
        Some(_) => Err(fields.invalid("detail", "must be auto, low or high")),
    }
}

/// The type and the base64 of a picture that its address holds.
pub(crate) fn held(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}
