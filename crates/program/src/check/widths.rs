//! The widest intermediate of a step, from what its operands can hold at most.

use super::facts::Facts;
use crate::{
    operation::{Attention, Branch, Operation, Scale, Step},
    program::{Program, StepDefinition},
};

/// Magnitudes as integers so wide that sums and products of them cannot overflow: clamped at 2^120.
const LIMIT: u128 = 1 << 120;

/// Bits of a magnitude.
fn bits(magnitude: u128) -> u32 {
    u128::BITS - magnitude.leading_zeros()
}

fn times(a: u128, b: u128) -> u128 {
    a.saturating_mul(b).min(LIMIT)
}

/// 2^places times `a`.
fn raised(a: u128, places: u32) -> u128 {
    times(a, 1 << places.min(100))
}

impl Program {
    /// Bits of the largest magnitude that a checked step's intermediates can have. Operands' types are known to be
    /// what the operation takes.
    pub(super) fn width_bits(&self, definition: &StepDefinition, facts: &Facts) -> u32 {
        let largest = |step: &Step| self.output(*step).largest() as u128;
        let length = |step: &Step| u128::from(self.output(*step).width);
        let vector = |index: &u32| u128::from(facts.vector(*index).largest);
        let entries = |table: &u32| u128::from(facts.table(*table).largest);
        let magnitude = match &definition.operation {
            Operation::Embed { matrix, .. } => self.linear_width(*matrix, 1),
            Operation::Linear {
                input,
                matrix,
                bias,
            }
            | Operation::Convolve {
                input,
                matrix,
                bias,
                ..
            } => {
                let bias = bias.as_ref().map_or(0, |bias| raised(vector(bias), 16));
                self.linear_width(*matrix, largest(input)) + bias
            }
            Operation::Expert {
                input, matrices, ..
            } => {
                let widths = matrices
                    .iter()
                    .map(|matrix| self.linear_width(*matrix, largest(input)));
                widths.max().unwrap_or(0)
            }
            Operation::Add { left, right } => raised(largest(left) + largest(right), 16),
            Operation::Multiply { left, right } => times(largest(left), largest(right)),
            // The mean square's sum is clamped; the product with a root of at most 2^16 and a gain is not.
            Operation::RootMeanSquare { input, gain, .. } => {
                times(raised(largest(input), 16), vector(gain))
            }
            Operation::Centre(input) => times(2 * length(input), largest(input)),
            Operation::Rotate {
                input, rotation, ..
            } => times(2 * largest(input), vector(&rotation.sine).max(1 << 14)),
            Operation::Gate {
                input,
                other,
                table,
            } => {
                let other = other.as_ref().map_or(1, largest);
                times(times(largest(input), entries(table)), other)
            }
            Operation::Lookup { table, .. } => entries(table),
            Operation::Attend {
                queries,
                keys,
                values,
                attention,
            } => {
                let weights = vector(&attention.weights);
                self.attention_width([queries, keys, values], attention, weights)
            }
            Operation::Pool { input, window, .. } => {
                let size = u128::from(window.size[0]) * u128::from(window.size[1]);
                raised(times(size, largest(input)), 16)
            }
            Operation::Product { left, right } => {
                times(times(largest(left), largest(right)), length(left))
            }
            Operation::Softmax { input, scale, .. } => {
                // Aligned numbers are clamped to 2^40, differences to 2^41; a weight is below 2^15 and raised by 30.
                let sum = raised(length(input), 15);
                scaled(1 << 41, *scale).max(sum).max(1 << 45)
            }
            Operation::Reduce { input, .. } => raised(times(length(input), largest(input)), 16),
            Operation::Trees { roots, nodes, .. } => {
                times(roots.len() as u128, largest_leaf(nodes))
            }
            _ => largest_of(definition),
        };
        // Parts that are joined are raised by at most 16 places; `shift` adds half of its divisor.
        if !self.joins_parts(definition) {
            return bits(magnitude);
        }
        // A mean, which is what attention joins, is no greater than the values that it is of.
        bits(match &definition.operation {
            Operation::Attend { values, .. } => magnitude.max(raised(largest(values), 12 + 16)),
            _ => raised(magnitude, 16),
        })
    }

    fn linear_width(&self, matrix: u32, largest: u128) -> u128 {
        let matrix = &self.matrices[matrix as usize];
        raised(
            times(u128::from(matrix.largest_row_sum), largest),
            u32::from(matrix.largest_shift),
        )
    }

    fn attention_width(
        &self,
        [queries, keys, values]: [&Step; 3],
        attention: &Attention,
        weights: u128,
    ) -> u128 {
        let largest = |step: &Step| self.output(*step).largest() as u128;
        let width = u128::from(self.output(*queries).width / attention.heads);
        let score = times(times(largest(queries), largest(keys)), width);
        let widest = |scales: &[Scale], score| {
            scales
                .iter()
                .map(|scale| scaled(score, *scale))
                .max()
                .unwrap_or(0)
        };
        let differences = match &attention.cap {
            None => widest(&attention.scales, 2 * score),
            Some(cap) => widest(&cap.scales, score).max(widest(&attention.scales, 1 << 16)),
        };
        let sum = times(
            times(weights, u128::from(self.positions)),
            largest(values).max(1),
        );
        differences.max(raised(sum, 12))
    }

    fn joins_parts(&self, definition: &StepDefinition) -> bool {
        let parts = definition.output.parts();
        match &definition.operation {
            Operation::RootMeanSquare { parts: have, .. } => parts < *have as usize,
            Operation::Attend { attention, .. } => parts < attention.heads as usize,
            Operation::Add { left: x, .. }
            | Operation::Multiply { left: x, .. }
            | Operation::Rotate { input: x, .. }
            | Operation::Gate { input: x, .. }
            | Operation::Cast(x) => parts < self.output(*x).parts(),
            _ => false,
        }
    }
}

fn largest_of(definition: &StepDefinition) -> u128 {
    definition.output.largest() as u128
}

/// The most that the leaves of one place add to an output: as many times the largest value as the longest run of leaves has.
fn largest_leaf(nodes: &[Branch]) -> u128 {
    let (mut largest, mut longest, mut run) = (0_u128, 0_u128, 0_u128);
    for node in nodes {
        if let Branch::Leaf { value, more, .. } = node {
            largest = largest.max(u128::from(value.unsigned_abs()));
            run += 1;
            longest = longest.max(run);
            if *more {
                continue;
            }
        }
        run = 0;
    }
    times(largest, longest)
}

/// A magnitude before [`crate::numbers::rescale`] shifts it.
fn scaled(magnitude: u128, scale: Scale) -> u128 {
    times(magnitude, u128::from(scale.multiplier)) + (1 << scale.places >> 1)
}
