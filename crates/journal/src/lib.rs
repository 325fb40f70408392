//! Keep what must survive the process, at once, and the machine, soon after.
//!
//! A [`Journal`] is a folder of files to which entries are appended. An entry is the system's when [`Journal::append`] returns,
//! so it survives whatever becomes of the process; it is on disk some [`SYNC_PAUSE`] later, without anybody having waited for
//! that. Whoever opens a journal learns how its last use ended ([`Ended`]), and so whether the newest entries may be missing.
//!
//! What must be on disk before anybody hears of it belongs into a database, and costs milliseconds.
//! `docs/formats/journal.md` describes the files.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod ended;
mod error;
mod journal;
mod segment;
mod syncing;

pub use ended::Ended;
pub use error::JournalError;
pub use journal::{Journal, Limits, Place};
pub use segment::{HEADER_BYTES, MAGIC, OVERHEAD_BYTES, Segment, frame};
pub use syncing::SYNC_PAUSE;
