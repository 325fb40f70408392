//! Convolutions: windows as rows for [`crate::linear()`], and a kernel for channels in groups.

use crate::{
    lanes::{Lanes, Operation},
    linear::Activations,
    path::Kernels,
};
use core::ops::Range;
use og_program::{matrix::Weights, operation::Window};

/// A value that a window slides over: rows are pixels.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Row-major mantissas.
    pub mantissas: &'a [i16],
    /// Elements of a row.
    pub channels: usize,
}

impl<'a> Picture<'a> {
    pub(super) fn pixel(self, pixel: usize) -> &'a [i16] {
        let at = pixel * self.channels;
        self.mantissas.get(at..at + self.channels).unwrap_or(&[])
    }
}

/// Fills `activations` with what the window sees at each of the output's `rows`, all channels: the operands of a matrix
/// whose convolution has one group. `buffer` is reused memory.
pub fn fill_patches(
    kernels: Kernels,
    picture: Picture<'_>,
    window: &Window,
    rows: Range<usize>,
    buffer: &mut Vec<i16>,
    activations: &mut Activations,
) {
    let size = window.size[0] as usize * window.size[1] as usize;
    let inputs = size * picture.channels;
    buffer.clear();
    buffer.resize(rows.len() * inputs, 0);
    for (row, patch) in rows.zip(buffer.chunks_exact_mut(inputs.max(1))) {
        let pixels = patch.chunks_exact_mut(picture.channels.max(1));
        for (to, pixel) in pixels.zip(window.under(row)) {
            if let Some(pixel) = pixel {
                to.copy_from_slice(picture.pixel(pixel));
            }
        }
    }
    activations.fill_rows(kernels, buffer.chunks_exact(inputs.max(1)), inputs);
}

/// The weights of a convolution whose channels are in groups, unpacked: such matrices are small.
#[derive(Clone, Debug)]
pub struct Grouped {
    /// For each place of the window and each channel of a group, a weight for each output.
    weights: Vec<i32>,
    shifts: Vec<u8>,
    groups: usize,
    inputs: usize,
}

impl Grouped {
    /// Unpacks a matrix whose outputs are in `groups` equal parts.
    #[must_use]
    pub fn new(weights: &Weights<'_>, groups: usize) -> Self {
        let (outputs, inputs) = (
            weights.matrix.outputs as usize,
            weights.matrix.inputs as usize,
        );
        let each = (0..inputs).flat_map(|input| {
            // A weight is at most 2^16 in magnitude.
            (0..outputs).map(move |output| weights.value(output, input) as i32)
        });
        Self {
            weights: each.collect(),
            shifts: (0..outputs)
                .map(|output| weights.shift(output) as u8)
                .collect(),
            groups,
            inputs,
        }
    }

    /// Writes the dot product of every output with what the window sees at one row of the output.
    pub fn convolve(
        &self,
        kernels: Kernels,
        picture: Picture<'_>,
        window: &Window,
        row: usize,
        out: &mut [i64],
    ) {
        kernels.run(Convolve {
            of: self,
            picture,
            window,
            row,
            out,
        });
    }
}

struct Convolve<'a> {
    of: &'a Grouped,
    picture: Picture<'a>,
    window: &'a Window,
    row: usize,
    out: &'a mut [i64],
}

impl Operation for Convolve<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Self {
            of, picture, out, ..
        } = self;
        out.fill(0);
        let outputs = of.shifts.len();
        let places = self.window.size[0] as usize * self.window.size[1] as usize;
        let channels = of.inputs / places.max(1);
        let weights = of.weights.chunks_exact((outputs * channels).max(1));
        for (pixel, weights) in self.window.under(self.row).zip(weights) {
            let Some(pixel) = pixel else { continue };
            let x = picture.pixel(pixel);
            for (channel, weights) in weights.chunks_exact(outputs).enumerate() {
                if channels == 1 && of.groups == outputs {
                    for ((out, w), x) in out.iter_mut().zip(weights).zip(x) {
                        *out += i64::from(*w) * i64::from(i32::from(*x));
                    }
                } else {
                    let each = (outputs / of.groups.max(1)).max(1);
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
        for (out, shift) in out.iter_mut().zip(&of.shifts) {
            *out = out.wrapping_shl(u32::from(*shift));
        }
    }
}
