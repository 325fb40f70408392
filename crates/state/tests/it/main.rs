//! The state between nodes, and what is proven of it to strangers.

mod proofs;
mod sync;
