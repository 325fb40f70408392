//! Operations that mix rows: windows over pictures, and products of two values.

mod convolve;
mod dense;
mod grouped;
mod pool;
mod product;
mod windows;

pub use convolve::{Convolution, Picture};
pub use pool::pool;
pub use product::Factor;

#[cfg(test)]
mod tests;
