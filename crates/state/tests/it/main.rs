//! The state of blocks and between nodes, and what is proven of it to strangers.

mod draft;
mod proofs;
mod sync;
