//! A gateway between real HTTP servers that play its nodes and validators.

#[path = "it/addresses.rs"]
mod addresses;
#[path = "it/answers.rs"]
mod answers;
#[path = "it/bad_requests.rs"]
mod bad_requests;
#[path = "it/collector.rs"]
mod collector;
#[path = "it/description.rs"]
mod description;
#[path = "it/embeddings.rs"]
mod embeddings;
#[path = "it/enclave.rs"]
mod enclave;
#[path = "it/fates.rs"]
mod fates;
#[path = "it/limits.rs"]
mod limits;
#[path = "it/network.rs"]
mod network;
#[path = "it/secure.rs"]
mod secure;
#[path = "it/speaker.rs"]
mod speaker;
#[path = "it/talks.rs"]
mod talks;
#[path = "it/traced.rs"]
mod traced;
