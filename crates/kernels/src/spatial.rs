//! Operations that mix rows: windows over pictures, and products of two values.

mod convolve;
mod pool;
mod product;

pub use convolve::{Grouped, Picture, fill_patches};
pub use pool::pool;
pub use product::Factor;

#[cfg(test)]
mod tests;
