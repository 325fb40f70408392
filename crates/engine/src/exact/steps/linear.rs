//! Matrices times rows: outputs are shared between the members of a team in blocks, then rows are written.

use super::rows::each_sums;
use crate::exact::{
    ready::Ready,
    values::{Buffer, Operand},
};
use og_kernels::{
    Activations, Columns, LinearError,
    finish::{LinearFinish, dot_exponent},
    linear,
    team::Team,
};
use og_program::{
    matrix::BLOCK,
    operation::{MatrixIndex, Step, Vector},
    value::Type,
};
use std::ops::Range;

/// Products from which on a matrix is worth sharing between the members of a team.
const SHARED_PRODUCTS: usize = 1 << 16;
/// Products that a part of a larger matrix has at least.
const PART_PRODUCTS: usize = 1 << 19;
/// Parts for each member, at most.
const PARTS_FOR_EACH: usize = 8;
/// Sums that are held at once, at most: rows beyond are multiplied in a second pass.
const MOST_SUMS: usize = 1 << 21;
/// Rows that are multiplied at once, at least.
const LEAST_ROWS: usize = 32;

/// What linear steps use again and again.
#[derive(Debug, Default)]
pub(crate) struct LinearMemory {
    pub(super) activations: Activations,
    /// Which rows `activations` holds: of a step (and whether only those that are wanted), from a row on.
    filled: Option<(Step, bool, Range<usize>)>,
    pub(super) sums: Vec<i64>,
}

impl LinearMemory {
    /// Values of steps change: nothing is known any more.
    pub(crate) fn forget(&mut self) {
        self.filled = None;
    }
}

/// Rows of outputs `width` wide that are multiplied at once.
pub(super) fn rows_at_once(width: usize) -> usize {
    (MOST_SUMS / width).max(LEAST_ROWS)
}

/// One linear step.
pub(super) struct Linear<'a> {
    pub(super) ready: &'a Ready,
    pub(super) matrix: MatrixIndex,
    pub(super) bias: Option<&'a Vector>,
    pub(super) of: &'a Type,
}

impl Linear<'_> {
    /// Multiplies all rows of `input`, the value of `step` (only where it is wanted, or not), at `positions` positions.
    pub(super) fn run(
        &self,
        team: &mut Team,
        memory: &mut LinearMemory,
        (step, wanted): (Step, bool),
        input: &Operand<'_>,
        positions: usize,
        out: &mut Buffer,
    ) -> Result<u64, LinearError> {
        let rows = positions * self.of.rows as usize;
        let at_once = rows_at_once(self.of.width as usize);
        let mut clamped = 0;
        for start in (0..rows).step_by(at_once) {
            let range = start..(start + at_once).min(rows);
            let filled = Some((step, wanted, range.clone()));
            if memory.filled != filled {
                let width = input.of.width as usize;
                let each = input.mantissas(range.clone()).chunks_exact(width);
                memory
                    .activations
                    .fill_rows(self.ready.kernels, each, width);
                memory.filled = filled;
            }
            sums_of(self.ready, self.matrix, team, memory)?;
            clamped += each_sums(
                team,
                &mut memory.sums,
                self.of,
                range,
                out,
                &|row, sums, out| {
                    self.finish(input.exponent(row))
                        .row(self.ready.kernels, sums, out)
                },
            );
        }
        Ok(clamped)
    }

    /// What becomes of sums, of an operand at `exponent`.
    pub(super) fn finish(&self, exponent: i32) -> LinearFinish<'_> {
        let matrix = &self.ready.program().matrices[self.matrix as usize];
        LinearFinish {
            exponent: dot_exponent(exponent, matrix.exponent),
            bias: self.bias,
            form: &self.of.form,
        }
    }
}

/// Some blocks of a matrix and where their sums go.
struct Part<'a> {
    blocks: Range<usize>,
    sums: Option<Columns<'a>>,
    result: Result<(), LinearError>,
}

/// Multiplies the activations by a matrix: `sums` then has a row of its outputs for each.
pub(super) fn sums_of(
    ready: &Ready,
    matrix: MatrixIndex,
    team: &mut Team,
    memory: &mut LinearMemory,
) -> Result<(), LinearError> {
    let LinearMemory {
        activations, sums, ..
    } = memory;
    let activations = &*activations;
    let weights = ready.weights(matrix);
    let Some(prepared) = &ready.prepared[matrix as usize] else {
        return Ok(());
    };
    let outputs = weights.matrix.outputs as usize;
    let count = activations.rows() * outputs;
    if sums.len() < count {
        sums.resize(count, 0);
    }
    let columns = Columns::new(&mut sums[..count], outputs);
    let products = count.saturating_mul(weights.matrix.inputs as usize);
    let blocks = weights.matrix.blocks();
    if team.threads() == 1 || products < SHARED_PRODUCTS || blocks < 4 {
        return linear(
            ready.kernels,
            &weights,
            prepared,
            activations,
            0..blocks,
            columns,
        );
    }
    let count = (products / PART_PRODUCTS).clamp(1, PARTS_FOR_EACH) * team.threads();
    // Kernels take two blocks at once.
    let each = blocks.div_ceil(count).next_multiple_of(2);
    let mut parts = Vec::with_capacity(count);
    let mut rest = columns;
    for start in (0..blocks).step_by(each) {
        let end = (start + each).min(blocks);
        let (part, after) = rest.split_at((end - start) * BLOCK);
        rest = after;
        parts.push(Part {
            blocks: start..end,
            sums: Some(part),
            result: Ok(()),
        });
    }
    team.each(&mut parts, |_, part| {
        if let Some(columns) = part.sums.take() {
            let blocks = part.blocks.clone();
            part.result = linear(
                ready.kernels,
                &weights,
                prepared,
                activations,
                blocks,
                columns,
            );
        }
    });
    parts.into_iter().try_for_each(|part| part.result)
}

/// A linear step whose matrix is chosen for each row.
pub(super) struct Expert<'a> {
    pub(super) ready: &'a Ready,
    pub(super) matrices: &'a [MatrixIndex],
    pub(super) of: &'a Type,
}

impl Expert<'_> {
    /// Multiplies each row by the matrix that `choice` gives for it; rows of one expert go together.
    pub(super) fn run(
        &self,
        team: &mut Team,
        memory: &mut LinearMemory,
        input: &Operand<'_>,
        choice: &dyn Fn(usize) -> u32,
        positions: usize,
        out: &mut Buffer,
    ) -> Result<u64, LinearError> {
        memory.forget();
        let rows = positions * self.of.rows as usize;
        let last = self.matrices.len() - 1;
        let choices = (0..rows).map(|row| ((choice(row) as usize).min(last), row));
        let mut order: Vec<(usize, usize)> = choices.collect();
        order.sort_unstable();
        let width = self.of.width as usize;
        let mut clamped = 0;
        for same in order.chunk_by(|a, b| a.0 == b.0) {
            let step = Linear {
                ready: self.ready,
                matrix: self.matrices[same[0].0],
                bias: None,
                of: self.of,
            };
            for same in same.chunks(rows_at_once(width)) {
                let each = same.iter().map(|(_, row)| input.row(*row).mantissas);
                memory
                    .activations
                    .fill_rows(self.ready.kernels, each, input.of.width as usize);
                sums_of(self.ready, step.matrix, team, memory)?;
                for ((_, row), sums) in same.iter().zip(memory.sums.chunks_exact_mut(width)) {
                    let out = out.row_mut(self.of, *row);
                    clamped += step
                        .finish(input.exponent(*row))
                        .row(self.ready.kernels, sums, out);
                }
            }
        }
        Ok(clamped)
    }
}
