//! Operations element by element: sums, norms, rotations, functions. Each takes one row and writes one.
//!
//! Types are as `Program::check` requires; rows of other lengths give rows that are too short, never a read elsewhere.
//! Every function gives how many elements its output's type clamped.

mod arithmetic;
mod functions;
mod norm;

pub use arithmetic::{Angles, add, cast, multiply, rectify, reduce, rotate};
pub use functions::{SoftmaxTable, embed, gate, lookup, softmax};
pub use norm::{Gain, centre, root_mean_square};

#[cfg(test)]
mod tests;
