//! What goes wrong, and whose fault it is.

use og_types::Refusal;

/// Why a file names no service that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The file is malformed.
    #[error("not a description of a service to ask: {0}")]
    File(String),
    /// The address is none.
    #[error(
        "url: {url:?} {reason}: give the address that the service's paths are appended to, as https://api.openai.com/v1"
    )]
    Url {
        /// What the file says.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key would be sent where others can read it.
    #[error(
        "there is a key for {0}, and it would travel unencrypted: use https, or leave the key out"
    )]
    Unencrypted(String),
    /// Not a key.
    #[error("a key must be one line of visible ASCII characters")]
    Key,
    /// Not the certificate of an authority.
    #[error("a certificate of an authority cannot be used: {0}")]
    Authority(String),
    /// What makes connections cannot be set up.
    #[error("connections cannot be made: {0}")]
    Client(String),
}

/// Why a question has no answer. No message holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The question asks for something that the service cannot do, or the service says so.
    #[error(transparent)]
    Refused(Refusal),
    /// Every server has as much to do as it takes; later it will work.
    #[error("{0}")]
    Busy(String),
    /// No server gave an answer of use.
    #[error("{0}")]
    Failed(String),
}

/// Why a try with one server gave no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the client is told.
    pub(crate) error: AskError,
    /// What is wrong with the server; `None` if the fault is the question's or the client's.
    pub(crate) fault: Option<Fault>,
}

/// What is wrong with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In a few words of ours: it is shown to others than who asked.
    pub(crate) what: String,
    /// Whether the server is well, and only has too much to do.
    pub(crate) busy: bool,
    /// How long it asks to be left alone, in seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Fault {
    /// A failure.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            busy: false,
            retry_after: None,
        }
    }
}
