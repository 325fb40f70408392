//! Norms: a row divided by the root of its mean square, a row less its mean.

use crate::{
    finish::finish,
    lanes::{Lanes, Operation},
    path::Kernels,
    row::{Row, RowMut, Wide},
};
use og_program::{
    numbers::inverse_root,
    operation::{Number, Vector},
    value::{Form, moved, sum_at},
};

/// What a norm is scaled by.
#[derive(Clone, Copy, Debug)]
pub struct Gain<'a> {
    /// As long as a part; the root of a part's length is a factor of it.
    pub gain: &'a Vector,
    /// Added to a part's sum of squares.
    pub epsilon: Number,
}

/// Each of `parts` equal parts divided by the root of its mean square, times the gain. `parts` is a multiple of the
/// input's parts.
pub fn root_mean_square(
    kernels: Kernels,
    input: Row<'_>,
    gain: Gain<'_>,
    parts: usize,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(input.mantissas.len(), parts);
    kernels.run(RootMeanSquare {
        input,
        gain,
        values,
        exponents,
    });
    finish(kernels, wide, form, out)
}

struct RootMeanSquare<'a> {
    input: Row<'a>,
    gain: Gain<'a>,
    values: &'a mut [i64],
    exponents: &'a mut [i32],
}

impl Operation for RootMeanSquare<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (parts, have) = (self.exponents.len().max(1), self.input.exponents.len());
        let length = (self.values.len() / parts).max(1);
        let x = self.input.mantissas.chunks_exact(length);
        let parts_of = x
            .zip(self.values.chunks_exact_mut(length))
            .zip(self.exponents);
        for (index, ((x, values), exponent)) in parts_of.enumerate() {
            let from = self
                .input
                .exponents
                .get(index * have / parts)
                .copied()
                .unwrap_or(0);
            let squares = squares(x);
            let (root, to) = inverse_root_of_mean(squares, from, self.gain);
            *exponent = to;
            for ((value, m), gain) in values.iter_mut().zip(x).zip(&self.gain.gain.mantissas) {
                // A root is at most 2^16 and a mantissa below 2^15: their product fits 32 bits.
                *value = i64::from(i32::from(*m) * root) * i64::from(i32::from(*gain));
            }
        }
    }
}

#[inline(always)]
fn squares(x: &[i16]) -> i64 {
    x.iter()
        .map(|m| i64::from(i32::from(*m) * i32::from(*m)))
        .sum()
}

/// The root that elements are multiplied by, and the exponent of the products.
fn inverse_root_of_mean(squares: i64, exponent: i32, gain: Gain<'_>) -> (i32, i32) {
    let epsilon = gain.epsilon;
    let least = epsilon.exponent - 30;
    let to = (2 * exponent).max(least + (least & 1));
    let sum = sum_at(
        (squares, 2 * exponent),
        (epsilon.mantissa, epsilon.exponent),
        to,
    );
    match inverse_root(sum) {
        None => (0, 0),
        Some((root, t)) => (
            root as i32,
            moved(exponent + gain.gain.exponent, t / 2 - 31 - to / 2),
        ),
    }
}

/// A row with one exponent less its mean, times its length.
pub fn centre(
    kernels: Kernels,
    input: Row<'_>,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(input.mantissas.len(), 1);
    exponents.fill(input.exponent());
    kernels.run(Centre {
        input: input.mantissas,
        values,
    });
    finish(kernels, wide, form, out)
}

struct Centre<'a> {
    input: &'a [i16],
    values: &'a mut [i64],
}

impl Operation for Centre<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let sum: i64 = self.input.iter().map(|m| i64::from(*m)).sum();
        // At most 2^24: elements of a value are bounded.
        let length = self.input.len() as i32;
        for (value, m) in self.values.iter_mut().zip(self.input) {
            *value = i64::from(length) * i64::from(i32::from(*m)) - sum;
        }
    }
}
