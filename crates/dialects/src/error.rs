//! What went wrong with a request, and how each service's clients are told.

use serde_json::{Value, json};

/// Longest message about a parameter, in characters: what the request says is part of it.
const MAX_MESSAGE: usize = 1000;
/// Longest way to a parameter, in characters.
const MAX_PARAM: usize = 300;

/// The beginning of a text.
pub(crate) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Whose fault it is, and of what kind; each has an HTTP status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request: it cannot be answered as it stands (400).
    Request,
    /// The client: it has not said who it is (401).
    Unknown,
    /// The client: it may not do this (403).
    Forbidden,
    /// The request: what it names does not exist (404).
    NotFound,
    /// The request: it is longer than this gateway reads (413).
    TooLarge,
    /// The client: it asks too often or too much (429).
    TooMany,
    /// This gateway (500).
    Internal,
    /// Whoever this gateway asked (502).
    Upstream,
    /// Nobody: everything is busy; later it will work (503).
    Busy,
    /// Whoever this gateway asked: it took too long (504).
    Timeout,
}

impl Fault {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Request => 400,
            Self::Unknown => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::TooMany => 429,
            Self::Internal => 500,
            Self::Upstream => 502,
            Self::Busy => 503,
            Self::Timeout => 504,
        }
    }

    /// What OpenAI's API calls it.
    const fn openai_type(self) -> &'static str {
        match self {
            Self::Request | Self::Unknown | Self::NotFound | Self::TooLarge => {
                "invalid_request_error"
            }
            Self::Forbidden => "permission_error",
            Self::TooMany => "rate_limit_error",
            Self::Internal | Self::Upstream | Self::Busy | Self::Timeout => "server_error",
        }
    }

    /// What Anthropic's API calls it.
    const fn anthropic_type(self) -> &'static str {
        match self {
            Self::Request => "invalid_request_error",
            Self::Unknown => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::TooMany => "rate_limit_error",
            Self::Internal | Self::Upstream => "api_error",
            Self::Busy => "overloaded_error",
            Self::Timeout => "timeout_error",
        }
    }
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Whose fault it is.
    pub fault: Fault,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// The parameter that is wrong, with the way to it: `messages[0].content`.
    pub param: Option<String>,
    /// What is wrong, for programs: `unknown_parameter`, `model_not_found`.
    pub code: Option<&'static str>,
}

impl ApiError {
    /// A fault with what to tell people, and nothing for programs.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    /// A parameter has a value that it cannot have: `reason` goes on after its name.
    pub fn invalid(param: impl Into<String>, reason: impl AsRef<str>) -> Self {
        Self::parameter(param.into(), reason.as_ref(), "invalid_value")
    }

    /// A published parameter, or a value of one, is not supported: `reason` goes on after its name and says what to do.
    pub fn unsupported(param: impl Into<String>, reason: impl AsRef<str>) -> Self {
        Self::parameter(param.into(), reason.as_ref(), "unsupported_parameter")
    }

    /// A parameter that must be there is not.
    pub fn missing(param: impl Into<String>) -> Self {
        let reason = "is missing, and required";
        Self::parameter(param.into(), reason, "missing_required_parameter")
    }

    /// Nobody knows this parameter.
    pub fn unknown(param: impl Into<String>) -> Self {
        let reason = "is no parameter that this gateway knows: leave it out";
        Self::parameter(param.into(), reason, "unknown_parameter")
    }

    fn parameter(param: String, reason: &str, code: &'static str) -> Self {
        let param = cut(&param, MAX_PARAM);
        Self {
            fault: Fault::Request,
            message: cut(&format!("'{param}' {reason}"), MAX_MESSAGE),
            param: Some(param),
            code: Some(code),
        }
    }

    /// As OpenAI's clients read it.
    pub fn openai(&self) -> Value {
        json!({"error": {
            "message": self.message,
            "type": self.fault.openai_type(),
            "param": self.param,
            "code": self.code,
        }})
    }

    /// As Anthropic's clients read it.
    pub fn anthropic(&self) -> Value {
        json!({
            "type": "error",
            "error": {"type": self.fault.anthropic_type(), "message": self.message},
        })
    }

    /// As OpenGradient's clients read it: a string.
    pub fn opengradient(&self) -> Value {
        json!({"error": self.message})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_gets_its_own_shape() {
        let error = ApiError::invalid("messages[0].role", "must be one of: user");
        let message = "'messages[0].role' must be one of: user";
        assert_eq!(
            error.openai(),
            json!({"error": {"message": message, "type": "invalid_request_error", "param": "messages[0].role", "code": "invalid_value"}})
        );
        assert_eq!(
            error.anthropic(),
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}})
        );
        assert_eq!(error.opengradient(), json!({"error": message}));
        let busy = ApiError::new(Fault::Busy, "All nodes are busy.");
        assert_eq!(busy.openai()["error"]["param"], Value::Null);
        assert_eq!(busy.anthropic()["error"]["type"], "overloaded_error");
        assert_eq!(busy.fault.status(), 503);
        let long = ApiError::unknown("x".repeat(1 << 20));
        assert!(
            long.openai().to_string().len() < 2000,
            "{}",
            long.message.len()
        );
    }
}
