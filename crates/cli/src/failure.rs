//! An error as a person needs it: what went wrong, and what to do next.

/// What went wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Failure {
    what: String,
    /// What to do next.
    pub(crate) next: String,
}

/// An error that says what to do next.
pub(crate) fn failure(what: impl Into<String>, next: impl Into<String>) -> anyhow::Error {
    Failure {
        what: what.into(),
        next: next.into(),
    }
    .into()
}
