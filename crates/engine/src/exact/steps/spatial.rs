//! Windows over pictures, and products of two values: one position after another.

use super::{
    Wave,
    linear::Linear,
    rows::{each_picture, each_sums},
};
use crate::exact::{
    executor::State,
    ready::Ready,
    values::{Buffer, Operand},
};
use og_kernels::{
    RowMut,
    finish::finish_values,
    row::Wide,
    spatial::{Factor, Picture, pool},
    team::Team,
};
use og_program::{
    operation::{Operation, Step},
    program::StepDefinition,
    value::{Type, moved},
};

/// What spatial steps use again and again.
#[derive(Debug, Default)]
pub(crate) struct SpatialMemory {
    /// Pictures made ready for a convolution.
    prepared: Vec<i16>,
    factor: Factor,
    pairs: Vec<i32>,
}

/// A picture at one position.
fn picture<'a>(input: &Operand<'a>, position: usize) -> Picture<'a> {
    Picture {
        mantissas: input.at(position).mantissas,
        channels: input.of.width as usize,
    }
}

impl Wave<'_> {
    /// Computes a step that mixes rows, and gives how many elements were clamped; `None` for other steps.
    pub(super) fn windows(
        &mut self,
        step: usize,
        definition: &StepDefinition,
        positions: usize,
        out: &mut Buffer,
    ) -> Option<u64> {
        let (scope, of) = (self.scope, &definition.output);
        let ready = scope.ready;
        let State {
            buffers,
            wides,
            linear,
            spatial,
            ..
        } = &mut *self.state;
        let (team, buffers) = (&mut *self.team, &*buffers);
        let operand = |operand: Step| scope.operand(step, operand, buffers);
        let exponent = |input: &Operand<'_>, position| {
            let first = position * input.of.rows as usize;
            input.exponent(first)
        };
        Some(match &definition.operation {
            Operation::Convolve {
                input,
                matrix,
                bias,
                ..
            } => {
                let (input, convolution) = (operand(*input), ready.convolutions[step].as_ref()?);
                let linear = Linear {
                    ready,
                    matrix: *matrix,
                    bias: bias.map(|bias| &ready.program().vectors[bias as usize]),
                    of,
                };
                let pictures = (0..positions).map(|position| picture(&input, position));
                convolution.prepare(pictures, &mut spatial.prepared);
                let prepared = &spatial.prepared[..];
                let work = |position: usize, rows, wide: &mut Wide, out: RowMut<'_>| {
                    let finish = linear.finish(exponent(&input, position));
                    let sums = &mut wide.values;
                    convolution.rows(ready.kernels, prepared, position, rows, finish, sums, out)
                };
                each_picture(team, wides, of, positions, out, &work)
            }
            Operation::Pool {
                input,
                pooling,
                window,
            } => {
                let input = operand(*input);
                let work = |position: usize, rows, wide: &mut Wide, out: RowMut<'_>| {
                    pool(
                        ready.kernels,
                        picture(&input, position),
                        exponent(&input, position),
                        *pooling,
                        window,
                        rows,
                        &of.form,
                        wide,
                        out,
                    )
                };
                each_picture(team, wides, of, positions, out, &work)
            }
            Operation::Product { left, right } => {
                let factors = [operand(*left), operand(*right)];
                let sums = &mut linear.sums;
                product(ready, team, sums, spatial, factors, of, positions, out)
            }
            _ => return None,
        })
    }
}

/// Every row of the left factor times every row of the right one.
#[expect(
    clippy::too_many_arguments,
    reason = "what the step names and what it works with"
)]
fn product(
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
