//! The parts of a matrix's bytes.

use super::LinearError;
use og_program::matrix::{BLOCK, Weights};

/// The parts of a matrix whose bytes are as many as its layout says.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    shifts: &'a [u8],
    multipliers: &'a [u8],
    minimums: &'a [u8],
    quants: &'a [u8],
    blocks: usize,
    /// Groups of 32 inputs in a row.
    pub(crate) groups: usize,
}

/// One block of sixteen outputs.
#[derive(Clone, Copy)]
pub(crate) struct BlockView<'a> {
    /// One byte for each output.
    pub(crate) shifts: &'a [u8; 16],
    /// For each group, one byte for each output and part.
    pub(crate) multipliers: &'a [u8],
    /// For each group, two bytes for each output, if the encoding has minimums.
    pub(crate) minimums: &'a [u8],
    /// For each group, the small integers.
    pub(crate) quants: &'a [u8],
}

impl<'a> View<'a> {
    /// Finds the parts.
    pub(crate) fn new(weights: &Weights<'a>) -> Result<Self, LinearError> {
        let got = weights.bytes.len();
        let wrong = LinearError::Bytes {
            got,
            expected: weights.matrix.layout().map_or(0, |layout| layout.bytes),
        };
        let layout = weights.matrix.layout().filter(|layout| layout.bytes == got);
        let layout = layout.ok_or(wrong)?;
        let part = |(offset, length): (usize, usize)| {
            weights.bytes.get(offset..offset + length).ok_or(wrong)
        };
        Ok(Self {
            shifts: part(layout.shifts)?,
            multipliers: part(layout.multipliers)?,
            minimums: part(layout.minimums)?,
            quants: part(layout.quants)?,
            blocks: weights.matrix.blocks(),
            groups: weights.matrix.groups(),
        })
    }

    /// One block, which the matrix has.
    #[inline(always)]
    pub(crate) fn block(&self, block: usize) -> BlockView<'a> {
        let of = |part: &'a [u8]| {
            let each = part.len() / self.blocks;
            &part[block * each..(block + 1) * each]
        };
        BlockView {
            shifts: of(self.shifts).first_chunk::<BLOCK>().unwrap_or(&[0; 16]),
            multipliers: of(self.multipliers),
            minimums: of(self.minimums),
            quants: of(self.quants),
        }
    }
}
