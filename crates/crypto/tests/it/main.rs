//! Hashes, signatures and sets of validators: as the vectors say, and nothing else.

mod keys;
mod records;
mod vectors;
