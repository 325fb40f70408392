//! JSON-RPC over real HTTP, answered by a chain in memory that runs the real rules.

#[path = "it/abuse.rs"]
mod abuse;
#[path = "it/access.rs"]
mod access;
#[path = "it/bad_requests.rs"]
mod bad_requests;
#[path = "it/contracts.rs"]
mod contracts;
#[path = "it/faucet.rs"]
mod faucet;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/pool.rs"]
mod pool;
#[path = "it/records.rs"]
mod records;
#[path = "it/simulations.rs"]
mod simulations;
#[path = "it/socket.rs"]
mod socket;
#[path = "it/states.rs"]
mod states;
#[path = "it/traces.rs"]
mod traces;
#[path = "it/transactions.rs"]
mod transactions;
#[path = "it/websocket.rs"]
mod websocket;
