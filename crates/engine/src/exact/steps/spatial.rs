//! Windows over pictures, and products of two values: one position after another.

use super::{
    linear::{Linear, LinearMemory, rows_at_once, sums_of},
    rows::each_sums,
};
use crate::exact::{
    ready::Ready,
    values::{Buffer, Operand},
};
use og_kernels::{
    LinearError,
    finish::finish_values,
    spatial::{Factor, Picture, fill_patches},
    team::Team,
};
use og_program::{
    operation::Window,
    value::{Type, moved},
};

/// 16-bit numbers of patches that are held at once, at most.
const MOST_PATCHES: usize = 1 << 20;

/// What spatial steps use again and again.
#[derive(Debug, Default)]
pub(crate) struct SpatialMemory {
    patches: Vec<i16>,
    factor: Factor,
    pairs: Vec<i32>,
}

/// A picture at one position.
pub(super) fn picture<'a>(input: &Operand<'a>, position: usize) -> Picture<'a> {
    Picture {
        mantissas: input.at(position).mantissas,
        channels: input.of.width as usize,
    }
}

/// One convolution of all channels.
pub(super) struct Convolve<'a> {
    pub(super) linear: Linear<'a>,
    pub(super) window: &'a Window,
}

impl Convolve<'_> {
    pub(super) fn run(
        &self,
        team: &mut Team,
        memory: &mut LinearMemory,
        spatial: &mut SpatialMemory,
        input: &Operand<'_>,
        positions: usize,
        out: &mut Buffer,
    ) -> Result<u64, LinearError> {
        memory.forget();
        let Linear {
            ready, matrix, of, ..
        } = self.linear;
        let inputs = ready.program().matrices[matrix as usize].inputs as usize;
        let rows = of.rows as usize;
        let at_once = rows_at_once(of.width as usize).min((MOST_PATCHES / inputs).max(1));
        let mut clamped = 0;
        for position in 0..positions {
            let exponent = input.exponent(position * input.of.rows as usize);
            for start in (0..rows).step_by(at_once) {
                let range = start..(start + at_once).min(rows);
                let picture = picture(input, position);
                let (patches, activations) = (&mut spatial.patches, &mut memory.activations);
                fill_patches(
                    ready.kernels,
                    picture,
                    self.window,
                    range.clone(),
                    patches,
                    activations,
                );
                sums_of(ready, matrix, team, memory)?;
                let range = position * rows + range.start..position * rows + range.end;
                clamped += each_sums(team, &mut memory.sums, of, range, out, &|_, sums, out| {
                    self.linear.finish(sums, exponent, out)
                });
            }
        }
        Ok(clamped)
    }
}

/// Every row of the left factor times every row of the right one.
#[expect(
    clippy::too_many_arguments,
    reason = "what the step names and what it works with"
)]
pub(super) fn product(
    ready: &Ready,
    team: &mut Team,
    sums: &mut Vec<i64>,
    spatial: &mut SpatialMemory,
    [left, right]: [Operand<'_>; 2],
    of: &Type,
    positions: usize,
    out: &mut Buffer,
) -> u64 {
    let (rows, width) = (of.rows as usize, of.width as usize);
    if sums.len() < rows * width {
        sums.resize(rows * width, 0);
    }
    let mut clamped = 0;
    for position in 0..positions {
        let SpatialMemory { factor, pairs, .. } = &mut *spatial;
        let length = left.of.width as usize;
        factor.fill(right.at(position).mantissas, length);
        let left_rows = left.at(position).mantissas;
        factor.product(
            ready.kernels,
            left_rows,
            length,
            pairs,
            &mut sums[..rows * width],
        );
        let of_right = right.exponent(position * right.of.rows as usize);
        let range = position * rows..(position + 1) * rows;
        clamped += each_sums(team, sums, of, range, out, &|row, sums, out| {
            let exponent = moved(left.exponent(row), of_right);
            finish_values(ready.kernels, sums, &[exponent], &of.form, out)
        });
    }
    clamped
}
