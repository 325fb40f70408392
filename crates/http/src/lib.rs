//! Keep HTTP servers within bounds, and show operators what they do.
//!
//! [`serve`] adds what axum leaves open and every server of the network needs: TLS, HTTP/2, limits on
//! connections, on slow clients and on the time that a shutdown takes. [`Shares`] keeps one client
//! from taking what is for all, [`Admission`] all of them from bringing more than there is room for. [`RequestMetrics`] counts what is answered.
//! [`Meter`] counts what somebody uses, [`Lanes`] is for clients of HTTP/2. [`operator`] is the interface for operators, the same on every role, [`traces`] hands
//! the spans of requests to a collector.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

mod admission;
mod connection;
mod forwarded;
mod http2;
mod lanes;
mod meter;
pub mod operator;
mod requests;
mod server;
mod shares;
mod tls;
pub mod traces;

pub use admission::{Admission, Place};
pub use connection::Connection;
pub use forwarded::client;
pub use http2::MAX_STREAMS;
pub use lanes::{Lane, Lanes, REQUESTS_PER_LANE};
pub use meter::{Meter, Rate};
pub use operator::{Check, Operated, Readiness};
pub use requests::RequestMetrics;
pub use server::{
    CONNECTION_LIFETIME, DRAIN_TIMEOUT, HEAD_TIMEOUT, MAX_HEAD_BYTES, Transport,
    WRITE_STALL_TIMEOUT, serve,
};
pub use shares::{Share, Shares, network};
pub use tls::{HANDSHAKE_TIMEOUT, Tls, TlsError};
