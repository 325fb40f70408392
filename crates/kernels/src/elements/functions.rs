//! Functions by table: gates, lookups, softmax; and rows of embedding matrices.

use crate::{
    divide::Divisor,
    finish::{finish, half_of, places},
    lanes::{Lanes, Operation},
    linear::RowReader,
    path::Kernels,
    row::{Row, RowMut, Wide},
    table::{self, CHUNK},
};
use og_program::{
    matrix::{GROUP, Weights},
    numbers::mantissa_max,
    operation::{Scale, Table, Vector},
    value::{Form, moved},
};

/// Each element times a function of it, times the element of `other`.
pub fn gate(
    kernels: Kernels,
    input: Row<'_>,
    other: Option<Row<'_>>,
    table: &Table,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(input.mantissas.len(), input.exponents.len());
    for (part, (to, from)) in exponents.iter_mut().zip(input.exponents).enumerate() {
        let other = other.and_then(|other| other.exponents.get(part).copied());
        *to = moved(moved(*from, other.unwrap_or(0)), table.entries.exponent);
    }
    kernels.run(Gate {
        input,
        other,
        table,
        values,
    });
    finish(kernels, wide, form, out)
}

struct Gate<'a> {
    input: Row<'a>,
    other: Option<Row<'a>>,
    table: &'a Table,
    values: &'a mut [i64],
}

impl Operation for Gate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        look_up(self.input, self.table, self.values);
        let x = self.values.iter_mut().zip(self.input.mantissas);
        match self.other {
            None => {
                for (value, m) in x {
                    *value = i64::from(*value as i32 * i32::from(*m));
                }
            }
            Some(other) => {
                for ((value, m), other) in x.zip(other.mantissas) {
                    let gated = *value as i32 * i32::from(*m);
                    *value = i64::from(gated) * i64::from(i32::from(*other));
                }
            }
        }
    }
}

/// A function of each element.
pub fn lookup(
    kernels: Kernels,
    input: Row<'_>,
    table: &Table,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(input.mantissas.len(), 1);
    exponents.fill(table.entries.exponent);
    kernels.run(Lookup {
        input,
        table,
        values,
    });
    finish(kernels, wide, form, out)
}

struct Lookup<'a> {
    input: Row<'a>,
    table: &'a Table,
    values: &'a mut [i64],
}

impl Operation for Lookup<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        look_up(self.input, self.table, self.values);
    }
}

/// The table's entry for each element.
#[inline(always)]
fn look_up(input: Row<'_>, table: &Table, values: &mut [i64]) {
    let limit = i32::from(mantissa_max(table.bits));
    let half = 1_i32 << (table.bits - 1);
    let length = input.mantissas.len() / input.exponents.len().max(1);
    let parts = input.parts().zip(values.chunks_exact_mut(length.max(1)));
    for ((x, exponent), values) in parts {
        let (down, up) = places(exponent, table.exponent);
        // Beyond these, every element gives 0 or leaves the table whatever the places are.
        let (down, up) = (down.min(17), up.min(16));
        let rounding = half_of(down) as i32;
        for (x, values) in x.chunks(CHUNK).zip(values.chunks_mut(CHUNK)) {
            let mut indices = [0; CHUNK];
            for (index, m) in indices.iter_mut().zip(x) {
                let point = ((i32::from(*m) << up) + rounding) >> down;
                *index = (point.clamp(-limit, limit) + half) as u32;
            }
            table::look_up(&table.entries.mantissas, &indices, values);
        }
    }
}

/// What a softmax needs beside its row.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxTable<'a> {
    /// Exponent to which rows are aligned.
    pub exponent: i32,
    /// Differences to the greatest in units of the table.
    pub scale: Scale,
    /// Entry `i` is the weight of what is `i` units below the greatest.
    pub weights: &'a Vector,
}

/// `e^x / Σ e^x` of a row with one exponent.
pub fn softmax(
    kernels: Kernels,
    input: Row<'_>,
    table: SoftmaxTable<'_>,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(input.mantissas.len(), 1);
    exponents.fill(-30);
    kernels.run(Softmax {
        input,
        table,
        values,
    });
    finish(kernels, wide, form, out)
}

/// Aligned elements are clamped to this magnitude.
const SOFTMAX_LIMIT: i64 = 1 << 40;

struct Softmax<'a> {
    input: Row<'a>,
    table: SoftmaxTable<'a>,
    values: &'a mut [i64],
}

impl Operation for Softmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (down, up) = places(self.input.exponent(), self.table.exponent);
        // Raised by 40 places or more, all but 0 leaves the limit.
        let (half, up) = (half_of(down), up.min(40));
        let mut greatest = -SOFTMAX_LIMIT;
        for (value, m) in self.values.iter_mut().zip(self.input.mantissas) {
            let aligned = ((i64::from(*m) << up) + half) >> down;
            *value = aligned.clamp(-SOFTMAX_LIMIT, SOFTMAX_LIMIT);
            greatest = greatest.max(*value);
        }
        let Scale { multiplier, places } = self.table.scale;
        let (half, mut sum) = (half_of(places), 0_i64);
        for values in self.values.chunks_mut(CHUNK) {
            let mut units = [0; CHUNK];
            for (unit, value) in units.iter_mut().zip(&*values) {
                // At most 2^41 · 2^16, and half of 2^62 is added.
                let product = (greatest - value) * i64::from(multiplier);
                *unit = ((product + half) >> places).min(i64::from(u32::MAX)) as u32;
            }
            table::look_up(&self.table.weights.mantissas, &units, values);
            sum += values.iter().sum::<i64>();
        }
        let sum = Divisor::new(sum.unsigned_abs());
        for value in self.values {
            *value = sum.divide(*value << 30);
        }
    }
}

/// The row of a matrix that an index names; rows beyond the last: the last.
pub fn embed(
    kernels: Kernels,
    weights: &Weights<'_>,
    index: u32,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let matrix = weights.matrix;
    let output = (index as usize).min((matrix.outputs as usize).saturating_sub(1));
    let (values, exponents) = wide.reset(matrix.inputs as usize, 1);
    exponents.fill(matrix.exponent);
    let places = weights.shift(output);
    let row = RowReader::new(weights, output);
    for (group, values) in values.chunks_mut(GROUP).enumerate() {
        for (value, weight) in values.iter_mut().zip(row.group(group)) {
            *value = i64::from(weight) << places;
        }
    }
    finish(kernels, wide, form, out)
}
