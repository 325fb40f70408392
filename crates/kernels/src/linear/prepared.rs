//! What is known of a matrix's weights, and how many products of them fit 32 bits.

use super::{
    LinearError,
    activations::{Bounds, WINDOWS},
    format::{Format, Int4, Int6, Int8, fold},
    view::View,
};
use crate::{
    lanes::{Lanes, Operation},
    path::Kernels,
};
use core::ops::Range;
use og_program::matrix::{Encoding, Weights};

/// Magnitudes are divided by this, rounded up, before they are squared, so that sums of squares fit 32 bits.
const UNIT: u64 = 16;

/// Bounds of a matrix's weights, from the weights as they are: for windows of columns, the greatest sum of magnitudes
/// and the greatest sum of squares over the rows. With the same of activations they prove how long sums of products stay
/// within 32 bits: `|Σ w·m|` is at most `Σ|w| · max|m|` and, after Cauchy and Schwarz, at most `√(Σw² · Σm²)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    folds: bool,
    sums: [u64; WINDOWS.len()],
    squares: [u64; WINDOWS.len()],
}

impl Prepared {
    /// Reads all weights once.
    ///
    /// # Errors
    /// [`LinearError::Bytes`] if the bytes are not those of the matrix.
    pub fn new(kernels: Kernels, weights: &Weights<'_>) -> Result<Self, LinearError> {
        Self::of_blocks(kernels, weights, 0..weights.matrix.blocks())
    }

    /// Reads the weights of some blocks of outputs, so that threads can share the work; [`Self::and`] joins the parts.
    ///
    /// # Errors
    /// [`LinearError::Bytes`] if the bytes are not those of the matrix, [`LinearError::Blocks`] if it has not the blocks.
    pub fn of_blocks(
        kernels: Kernels,
        weights: &Weights<'_>,
        blocks: Range<usize>,
    ) -> Result<Self, LinearError> {
        let view = View::new(weights)?;
        if blocks.start > blocks.end || blocks.end > weights.matrix.blocks() {
            return Err(LinearError::Blocks {
                start: blocks.start,
                end: blocks.end,
                blocks: weights.matrix.blocks(),
            });
        }
        Ok(match weights.matrix.encoding {
            Encoding::Int8 => kernels.run(Measure(view, blocks, Int8)),
            Encoding::Int4 => kernels.run(Measure(view, blocks, Int4)),
            Encoding::Int6 => kernels.run(Measure(view, blocks, Int6)),
        })
    }

    /// What holds for both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let greater = |a: [u64; 5], b: [u64; 5]| core::array::from_fn(|i| a[i].max(b[i]));
        Self {
            folds: self.folds && other.folds,
            sums: greater(self.sums, other.sums),
            squares: greater(self.squares, other.squares),
        }
    }

    /// Whether every weight, its multiplier folded in, fits 16 bits.
    pub(crate) const fn folds(&self) -> bool {
        self.folds
    }

    /// How many columns may be summed in 32 bits, beginning at a multiple of as many. Two always may: both products are
    /// at most 2^15 · (2^15 - 1) in magnitude.
    pub(crate) fn columns(&self, bounds: &Bounds) -> usize {
        let fits = |window: &usize| {
            let Some(i) = WINDOWS.iter().position(|w| w == window) else {
                return false;
            };
            let sum = self.sums[i].saturating_mul(u64::from(bounds.largest));
            let squares = u128::from(self.squares[i]) * u128::from(bounds.squares[i]);
            sum < 1 << 31 || squares * u128::from(UNIT * UNIT) < 1 << 62
        };
        WINDOWS.into_iter().rev().find(fits).unwrap_or(2)
    }
}

struct Measure<'a, F>(View<'a>, Range<usize>, F);

impl<F: Format> Operation for Measure<'_, F> {
    type Output = Prepared;
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Prepared {
        let Self(view, blocks, _) = self;
        let mut all = Prepared {
            folds: true,
            sums: [0; 5],
            squares: [0; 5],
        };
        for block in blocks {
            let block = view.block(block);
            let minimums = block.minimums.as_chunks::<2>().0;
            all.folds &= minimums.iter().all(|n| u16::from_le_bytes(*n) < 1 << 15);
            // Running sums of each window, in the order of [`WINDOWS`].
            let mut sums = [lanes.zero(); WINDOWS.len()];
            let mut squares = sums;
            let mut most = [(lanes.zero(), lanes.zero()); WINDOWS.len()];
            for group in 0..view.groups {
                let mut chunks = [lanes.zero(); 16];
                fold::<L, F>(lanes, &block, group, &mut chunks);
                for (j, chunk) in chunks.as_chunks::<4>().0.iter().enumerate() {
                    let (sum, square) = magnitudes(lanes, chunk);
                    let columns = group * 32 + j * 8 + 8;
                    let last = group + 1 == view.groups && j == 3;
                    for (i, window) in WINDOWS.into_iter().enumerate() {
                        sums[i] = lanes.add(sums[i], sum);
                        squares[i] = lanes.add(squares[i], square);
                        if columns % window == 0 || last {
                            let (sum, square) = most[i];
                            most[i] = (lanes.max(sum, sums[i]), lanes.max(square, squares[i]));
                            (sums[i], squares[i]) = (lanes.zero(), lanes.zero());
                        }
                    }
                }
            }
            for (i, (sum, square)) in most.into_iter().enumerate() {
                all.sums[i] = all.sums[i].max(greatest(lanes, sum));
                all.squares[i] = all.squares[i].max(greatest(lanes, square));
            }
        }
        all
    }
}

/// For each output, the sum of magnitudes of eight columns, and the sum of squares in units of [`UNIT`] squared.
#[inline(always)]
fn magnitudes<L: Lanes>(lanes: L, chunk: &[L::V; 4]) -> (L::V, L::V) {
    let ones = lanes.splat(0x0001_0001);
    let (mut sum, mut square) = (lanes.zero(), lanes.zero());
    for pair in chunk {
        let magnitude = lanes.abs16(*pair);
        sum = lanes.dot(sum, magnitude, ones);
        // Rounded up: ⌊x / 16⌋ + 1 is at least x / 16.
        let rounded = lanes.sub16(lanes.shr16(magnitude, 4), lanes.splat(-1));
        square = lanes.dot(square, rounded, rounded);
    }
    (sum, square)
}

#[inline(always)]
fn greatest<L: Lanes>(lanes: L, x: L::V) -> u64 {
    let mut each = [0; 16];
    lanes.store_lanes(x, &mut each);
    each.into_iter().max().unwrap_or(0).unsigned_abs().into()
}
