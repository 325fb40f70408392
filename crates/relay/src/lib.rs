//! Pass sealed requests on to gateways, knowing who asks and not what.
//!
//! A relay stands between a client and a gateway so that no one party knows both who asks and what
//! is asked (Oblivious HTTP, RFC 9458, as OpenGradient's published clients speak it). It sees the
//! client's address and sealed bytes; the gateway sees the request and the relay's address. Anybody
//! may run one: it holds no key and keeps nothing.
//!
//! [`serve`] takes requests, [`Directory`](directory) knows the gateways from the chain's registry,
//! and each [`Gateway`](gateway) has connections of its own, shared by all clients, that trust its
//! certificate in the registry and no other. Nothing of a client's request is passed on but its bytes,
//! and logs have neither addresses of clients nor content.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

mod answer;
mod config;
mod directory;
mod error;
mod gateway;
mod operated;
mod registry;
mod rows;
mod server;
mod tls;

pub use config::{
    ANSWER_TIMEOUT, BODY_TIMEOUT, MAX_ANSWER_BYTES, MAX_BUFFERED_BYTES, MAX_BUFFERED_BYTES_EACH,
    MAX_CONNECTIONS, MAX_CONNECTIONS_EACH, MAX_GATEWAYS, MAX_REQUESTS, MAX_REQUESTS_EACH,
    REFRESH_INTERVAL, RelayConfig, STALE_AFTER,
};
pub use error::RelayError;
pub use gateway::usable_gateways;
pub use rows::RowsError;
pub use server::serve;
