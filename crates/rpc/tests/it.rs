//! JSON-RPC over real HTTP, answered by a chain in memory that runs the real rules.

#[path = "it/bad_requests.rs"]
mod bad_requests;
#[path = "it/contracts.rs"]
mod contracts;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/records.rs"]
mod records;
#[path = "it/simulations.rs"]
mod simulations;
#[path = "it/states.rs"]
mod states;
#[path = "it/traces.rs"]
mod traces;
#[path = "it/transactions.rs"]
mod transactions;
