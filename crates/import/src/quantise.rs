//! From floats to a program's matrices: small integers in groups with integer multipliers, and a power of two for
//! each row (layout: `og_program::matrix`).

mod int8;
mod pack;
mod small;
#[cfg(test)]
mod tests;

use crate::tensor::{Tensor, TensorError, blocks::Kind};
use og_program::matrix::{Encoding, Matrix};

/// Row units differ by at most this many places, so that a row's sum times an activation stays within its width.
pub const MAX_SHIFT: i32 = 20;
/// Exponents of elements stay within this, far beyond any weight that is a number.
const MAX_UNIT: i32 = 200;

/// Why a matrix cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantiseError {
    /// Its floats cannot be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// It is empty or larger than the format holds.
    #[error("{tensor}: a matrix of {rows} rows of {columns} elements is empty or too large")]
    Size {
        /// Its name in the file.
        tensor: String,
        /// Rows.
        rows: usize,
        /// Elements of a row.
        columns: usize,
    },
}

/// How matrices are made.
#[derive(Clone, Copy, Debug)]
pub struct Quantisation {
    /// Bits of the multipliers of 8-bit elements, 1 to 8.
    pub multiplier_bits: u8,
    /// Whether weights that come in 4 or 6 bits keep about that size; otherwise they get 8 bits.
    pub keep_small: bool,
    /// Threads that work on a matrix, at least 1.
    pub threads: usize,
}

impl Default for Quantisation {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self {
            multiplier_bits: 4,
            keep_small: true,
            threads,
        }
    }
}

/// A matrix of a program, its bytes, and how far it is from the floats.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// Shape and encoding.
    pub matrix: Matrix,
    /// Bytes, as [`Matrix::layout`] says.
    pub bytes: Vec<u8>,
    /// Root of the sum of squared errors over the sum of squares; 0 if all weights are.
    pub relative_error: f64,
}

/// Makes a matrix of `tensor · factor`.
///
/// # Errors
/// [`QuantiseError`] if a weight is not finite, or the matrix is empty or too large.
pub fn quantise(
    tensor: &Tensor<'_>,
    factor: f32,
    how: &Quantisation,
) -> Result<Quantised, QuantiseError> {
    if !keeps_small(tensor, how) {
        return to_8_bits(tensor, &|_| factor, how);
    }
    let encoding = match tensor.stored_row(0) {
        Some((Kind::Q6K, _)) => Encoding::Int6,
        _ => Encoding::Int4,
    };
    let small = pack::matrix(tensor, encoding, how.threads, |row, unit| {
        small::encode(tensor, row, factor, encoding, unit)
    })?;
    match small {
        Some(small) => Ok(small),
        None => to_8_bits(tensor, &|_| factor, how),
    }
}

/// Makes a matrix of a tensor whose columns are multiplied by a factor each, with 8 bits whatever its format.
///
/// # Errors
/// As [`quantise`].
pub fn quantise_columns(
    tensor: &Tensor<'_>,
    factors: &[f32],
    how: &Quantisation,
) -> Result<Quantised, QuantiseError> {
    to_8_bits(
        tensor,
        &|column| factors.get(column).copied().unwrap_or(1.0),
        how,
    )
}

/// Whether a tensor comes in 4 or 6 bits and keeps them.
pub fn keeps_small(tensor: &Tensor<'_>, how: &Quantisation) -> bool {
    let kind = tensor.stored_row(0).map(|(kind, _)| kind);
    how.keep_small && matches!(kind, Some(Kind::Q4_0 | Kind::Q4K | Kind::Q6K))
}

fn to_8_bits(
    tensor: &Tensor<'_>,
    factor: &(dyn Fn(usize) -> f32 + Sync),
    how: &Quantisation,
) -> Result<Quantised, QuantiseError> {
    let largest = (1_u32 << how.multiplier_bits.clamp(1, 8)) - 1;
    let encoded = pack::matrix(tensor, Encoding::Int8, how.threads, |row, unit| {
        int8::encode(tensor, row, factor, largest, unit).map(Some)
    })?;
    encoded.ok_or_else(|| size_error(tensor))
}

fn size_error(tensor: &Tensor<'_>) -> QuantiseError {
    QuantiseError::Size {
        tensor: tensor.name().to_owned(),
        rows: tensor.rows(),
        columns: tensor.columns(),
    }
}

/// A row in a matrix's encoding, group after group. Element `i` is `(k·q[i] - n) · 2^unit`.
pub(crate) struct EncodedRow {
    /// Exponent of the row's unit.
    unit: i32,
    /// The multiplier of each group.
    multipliers: Vec<u8>,
    /// The minimum of each group; empty where the encoding has none.
    minimums: Vec<u16>,
    /// Elements, signed for 8 bits; padded to whole groups of 32.
    quants: Vec<u8>,
    /// Sum of magnitudes of the integers that elements are.
    sum: u64,
    /// Sum of squared errors.
    error: f64,
    /// Sum of squares of the floats.
    square: f64,
}

/// The least exponent `e`, within bounds, with `largest ≤ limit · 2^e`.
fn unit_for(largest: f32, limit: f32) -> i32 {
    if largest <= 0.0 {
        return -MAX_UNIT;
    }
    let quotient = f64::from(largest) / f64::from(limit);
    (quotient.log2().ceil() as i32).clamp(-MAX_UNIT, MAX_UNIT)
}

/// `2^exponent`.
fn power(exponent: i32) -> f64 {
    2_f64.powi(exponent)
}
