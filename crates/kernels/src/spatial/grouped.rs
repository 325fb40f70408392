//! Convolutions of channels in groups: each output sees only the channels of its own. Also of matrices that nothing faster takes.

use super::Picture;
use crate::{
    finish::LinearFinish,
    lanes::{Lanes, Operation},
    row::RowMut,
};
use core::ops::Range;
use og_program::{matrix::Weights, operation::Window};

/// Rows that are written at once.
const ROWS_AT_ONCE: usize = 16;

/// The weights of a convolution whose channels are in groups, unpacked: such matrices are small.
#[derive(Clone, Debug)]
pub(super) struct Grouped {
    window: Window,
    /// For each place of the window and each channel of a group, a weight for each output.
    weights: Vec<i32>,
    shifts: Vec<u8>,
    groups: usize,
    inputs: usize,
}

impl Grouped {
    /// Unpacks a matrix whose outputs are in `groups` equal parts.
    pub(super) fn new(weights: &Weights<'_>, window: &Window, groups: usize) -> Self {
        let (outputs, inputs) = (
            weights.matrix.outputs as usize,
            weights.matrix.inputs as usize,
        );
        let each = (0..inputs).flat_map(|input| {
            // A weight is at most 2^16 in magnitude.
            (0..outputs).map(move |output| weights.value(output, input) as i32)
        });
        Self {
            window: window.clone(),
            weights: each.collect(),
            shifts: (0..outputs)
                .map(|output| weights.shift(output) as u8)
                .collect(),
            groups,
            inputs,
        }
    }

    fn places(&self) -> usize {
        self.window.size[0] as usize * self.window.size[1] as usize
    }

    /// Channels of a group.
    fn channels(&self) -> usize {
        self.inputs / self.places().max(1)
    }

    /// Elements of a picture.
    pub(super) fn elements(&self) -> usize {
        let pixels = self.window.input[0] as usize * self.window.input[1] as usize;
        pixels * self.channels() * self.groups
    }

    /// The dot product of every output with what the window sees at one row of the output.
    #[inline(always)]
    fn row(&self, picture: Picture<'_>, row: usize, out: &mut [i64]) {
        out.fill(0);
        let (outputs, channels) = (self.shifts.len(), self.channels());
        let weights = self.weights.chunks_exact((outputs * channels).max(1));
        for (pixel, weights) in self.window.under(row).zip(weights) {
            let Some(pixel) = pixel else { continue };
            let x = picture.pixel(pixel);
            for (channel, weights) in weights.chunks_exact(outputs).enumerate() {
                if channels == 1 && self.groups == outputs {
                    for ((out, w), x) in out.iter_mut().zip(weights).zip(x) {
                        *out += i64::from(*w) * i64::from(i32::from(*x));
                    }
                } else {
                    let each = (outputs / self.groups.max(1)).max(1);
                    let parts = out.chunks_mut(each).zip(weights.chunks(each));
                    for (group, (out, weights)) in parts.enumerate() {
                        let x = x.get(group * channels + channel).copied().unwrap_or(0);
                        for (out, w) in out.iter_mut().zip(weights) {
                            *out += i64::from(*w) * i64::from(i32::from(x));
                        }
                    }
                }
            }
        }
        for (out, shift) in out.iter_mut().zip(&self.shifts) {
            *out = out.wrapping_shl(u32::from(*shift));
        }
    }
}

/// Some rows of the output of one picture.
pub(super) struct Rows<'a> {
    pub(super) of: &'a Grouped,
    pub(super) picture: &'a [i16],
    pub(super) rows: Range<usize>,
    pub(super) finish: LinearFinish<'a>,
    pub(super) sums: &'a mut Vec<i64>,
    pub(super) out: RowMut<'a>,
}

impl Operation for Rows<'_> {
    type Output = u64;
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> u64 {
        let Self {
            of,
            picture,
            rows,
            finish,
            sums,
            out,
        } = self;
        let outputs = of.shifts.len().max(1);
        let parts = (out.exponents.len() / rows.len().max(1)).max(1);
        let picture = Picture {
            mantissas: picture,
            channels: of.channels() * of.groups,
        };
        sums.resize(ROWS_AT_ONCE * outputs, 0);
        let mut clamped = 0;
        let RowMut {
            mantissas,
            exponents,
        } = out;
        let out = mantissas.chunks_mut(ROWS_AT_ONCE * outputs);
        let out = out.zip(exponents.chunks_mut(ROWS_AT_ONCE * parts));
        for (first, (mantissas, exponents)) in rows.step_by(ROWS_AT_ONCE).zip(out) {
            let sums = &mut sums[..mantissas.len()];
            for (row, sums) in sums.chunks_exact_mut(outputs).enumerate() {
                of.row(picture, first + row, sums);
            }
            let out = RowMut {
                mantissas,
                exponents,
            };
            clamped += finish.rows(lanes, sums, outputs, out);
        }
        clamped
    }
}
