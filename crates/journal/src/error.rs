//! Why a journal could not do what it was asked.

use std::{io, path::PathBuf, sync::Arc};

/// Why a journal could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process uses it.
    #[error("{0} is in use by another process: stop that one first")]
    InUse(PathBuf),
    /// A file is not of a journal, or not of this version.
    #[error(
        "{0} is no journal that this version can read: move it away, or use the version that wrote it"
    )]
    Foreign(PathBuf),
    /// A file that was complete on disk is damaged.
    #[error(
        "{path} is damaged after {intact_bytes} bytes: restore it from a copy, or move it away to go on without what it has"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        intact_bytes: u64,
    },
    /// The entry is longer than this journal's may be.
    #[error("an entry of {bytes} bytes; at most {maximum} are allowed")]
    TooLong {
        /// Bytes of the entry.
        bytes: usize,
        /// Bytes that it may have.
        maximum: u32,
    },
    /// The disk failed. What is appended after that would be lost, so nothing is, until it is opened again.
    #[error("the disk failed: {0}")]
    Disk(Arc<io::Error>),
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}
