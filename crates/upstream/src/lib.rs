//! Ask models of other services: choose a server, send it the question, read its answer.
//!
//! A small file says which servers have a model and which API they speak (`docs/formats/model.md`, "A relay file"); the
//! crate `og-dialects` knows the APIs. An [`Upstream`] is such a file in use: it chooses the server that has the least to do,
//! asks another one if that fails before it has said anything, and leaves servers alone that fail again and again.
//!
//! A question waits without a thread of its own. Dropping it drops the request to the server. Keys belong to the node and not
//! to the file; each is sent to its own host only, encrypted or within this machine, and redirects are not followed.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
    )
)]

mod answer;
mod client;
mod error;
mod file;
mod health;
mod key;
mod limits;
mod server;
mod traced;
mod upstream;

pub use error::{AskError, UpstreamError};
pub use file::{MAX_FILE_BYTES, MAX_SERVERS};
pub use key::{UpstreamAccess, UpstreamAuthority, UpstreamKey};
pub use limits::Limits;
pub use upstream::Upstream;
