//! Run program operations fast, bit for bit the same.
//!
//! Every function here computes what `og_program::interpret` defines, on rows, with the instructions of a [`Path`] that
//! [`Kernels`] found at run time. Nothing overflows: sums of 32 bits are only as long as weights and activations prove
//! safe, all others have 64 bits, and [`og_program::program::Program`]'s checks bound those.
//!
//! Reading order: [`path`] (which instructions), `lanes` (the vocabulary of kernels), [`row`] and [`finish`] (what comes
//! out of an operation), [`linear`](mod@linear) (matrices), [`elements`] (element by element), [`attention`], [`spatial`],
//! [`team`] (threads).

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::float_arithmetic
    )
)]

pub mod attention;
#[allow(unsafe_code)]
mod columns;
mod divide;
pub mod elements;
pub mod finish;
mod lanes;
pub mod linear;
pub mod path;
pub mod row;
pub mod spatial;
mod table;
#[allow(unsafe_code)]
pub mod team;
#[cfg(test)]
mod testing;
mod tile;

pub use columns::Columns;
pub use linear::{Activations, LinearError, Prepared, linear};
pub use path::{Kernels, Path, Unavailable};
pub use row::{Row, RowMut};
