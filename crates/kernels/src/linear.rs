//! Matrices times rows.
//!
//! One to eight rows go the direct way: weights stream once through registers, each group's sum is multiplied by its
//! multiplier into 64 bits, and nothing needs a proof. More rows go the folded way: multiplier and small integer become
//! one 16-bit weight in a panel that stays in the first cache, and 32-bit sums run as long as [`Prepared`] and the rows
//! prove that they fit.

mod activations;
mod direct;
mod folded;
mod format;
mod prepared;
mod reader;
mod view;

pub use activations::{ActivationError, Activations};
pub use prepared::Prepared;
pub(crate) use reader::RowReader;

use crate::{
    columns::Columns,
    lanes::{Lanes, Operation},
    path::{Kernels, Path},
};
use core::ops::Range;
use format::{Format, Int4, Int6, Int8};
use og_program::matrix::{BLOCK, Encoding, Weights};
use view::View;

/// Rows up to which weights are not folded.
pub(crate) const DIRECT_ROWS: usize = 8;

/// Why a matrix is not multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinearError {
    /// The bytes are not those of the matrix.
    #[error("the matrix has {got} bytes, and its shape asks for {expected}; load it again")]
    Bytes {
        /// How many there are.
        got: usize,
        /// How many there must be.
        expected: usize,
    },
    /// Rows of another length than the matrix has inputs.
    #[error("rows of {got} elements; the matrix takes {expected}")]
    Inputs {
        /// Elements of a row.
        got: usize,
        /// Inputs of the matrix.
        expected: usize,
    },
    /// Blocks that the matrix does not have.
    #[error("blocks {start} to {end} are asked for; the matrix has {blocks}")]
    Blocks {
        /// The first.
        start: usize,
        /// One past the last.
        end: usize,
        /// How many the matrix has.
        blocks: usize,
    },
    /// Activations laid out for another path.
    #[error("the activations were filled for another path than {}; fill them anew", path.name())]
    Path {
        /// The path that is to multiply.
        path: Path,
    },
    /// A result of another shape.
    #[error("a result of {rows} rows by {columns}; {needed_rows} by {needed_columns} are computed")]
    Result {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
        /// Rows of the activations.
        needed_rows: usize,
        /// Outputs of the blocks.
        needed_columns: usize,
    },
}

/// Outputs of a range of blocks of a matrix.
#[must_use]
pub fn outputs_of(weights: &Weights<'_>, blocks: &Range<usize>) -> usize {
    let end = (blocks.end * BLOCK).min(weights.matrix.outputs as usize);
    end.saturating_sub(blocks.start * BLOCK)
}

/// Writes `Σ value(o, i)·x[i] · 2^shift(o)` for each row `x` and each output `o` of `blocks`, as
/// [`Weights::dot`] defines it. `out` has a row for each row of `activations` and a column for each output of
/// `blocks`. Threads share a matrix by taking different blocks.
///
/// # Errors
/// [`LinearError`], if shapes do not fit; then nothing is written.
pub fn linear(
    kernels: Kernels,
    weights: &Weights<'_>,
    prepared: &Prepared,
    activations: &Activations,
    blocks: Range<usize>,
    out: Columns<'_>,
) -> Result<(), LinearError> {
    let view = View::new(weights)?;
    if activations.inputs() != weights.matrix.inputs as usize {
        return Err(LinearError::Inputs {
            got: activations.inputs(),
            expected: weights.matrix.inputs as usize,
        });
    }
    if blocks.start > blocks.end || blocks.end > weights.matrix.blocks() {
        return Err(LinearError::Blocks {
            start: blocks.start,
            end: blocks.end,
            blocks: weights.matrix.blocks(),
        });
    }
    let (rows, columns) = (activations.rows(), outputs_of(weights, &blocks));
    if rows == 0 || columns == 0 {
        return Ok(());
    }
    if activations.path() != Some(kernels.path()) {
        let path = kernels.path();
        return Err(LinearError::Path { path });
    }
    if (out.rows(), out.width()) != (rows, columns) {
        return Err(LinearError::Result {
            rows: out.rows(),
            columns: out.width(),
            needed_rows: rows,
            needed_columns: columns,
        });
    }
    let product = Product {
        view,
        prepared,
        activations,
        blocks,
        out,
    };
    match weights.matrix.encoding {
        Encoding::Int8 => kernels.run(product.of(Int8)),
        Encoding::Int4 => kernels.run(product.of(Int4)),
        Encoding::Int6 => kernels.run(product.of(Int6)),
    }
    Ok(())
}

/// Everything that a kernel of [`linear`] reads and writes; shapes are checked.
struct Product<'a> {
    view: View<'a>,
    prepared: &'a Prepared,
    activations: &'a Activations,
    blocks: Range<usize>,
    out: Columns<'a>,
}

impl<'a> Product<'a> {
    fn of<F: Format>(self, format: F) -> Formatted<'a, F> {
        Formatted {
            product: self,
            format,
        }
    }
}

struct Formatted<'a, F> {
    product: Product<'a>,
    format: F,
}

impl<F: Format> Operation for Formatted<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { product, format } = self;
        if product.activations.rows() <= DIRECT_ROWS || !product.prepared.folds() {
            direct::run(lanes, format, product);
        } else {
            folded::run(lanes, format, product);
        }
    }
}

/// Writes the sums of one block for one row: shifted, without what pads the block.
#[inline(always)]
fn write(out: &mut [i64], sums: &[i64; 16], shifts: &[u8; 16]) {
    for ((out, sum), shift) in out.iter_mut().zip(sums).zip(shifts) {
        *out = sum.wrapping_shl(u32::from(*shift));
    }
}

#[cfg(test)]
mod tests;
