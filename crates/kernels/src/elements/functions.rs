//! Functions by table: gates, lookups, softmax; and rows of embedding matrices.

use crate::{
    finish::{finish, half_of, places},
    lanes::{Lanes, Operation},
    path::Kernels,
    row::{Row, RowMut, Wide},
};
use og_program::{
    matrix::Weights,
    numbers::{align, divide, mantissa_max, rescale},
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

/// Elements are looked up this many at a time: their indices first, which is done in vectors.
const CHUNK: usize = 64;

/// The table's entry for each element.
#[inline(always)]
fn look_up(input: Row<'_>, table: &Table, values: &mut [i64]) {
    let limit = i32::from(mantissa_max(table.bits));
    let (half, entries) = (
        1_i32 << (table.bits - 1),
        table.entries.mantissas.as_slice(),
    );
    let length = input.mantissas.len() / input.exponents.len().max(1);
    let parts = input.parts().zip(values.chunks_exact_mut(length.max(1)));
    for ((x, exponent), values) in parts {
        let (down, up) = places(exponent, table.exponent);
        // Beyond these, every element gives 0 or leaves the table whatever the places are.
        let (down, up) = (down.min(17), up.min(16));
        let rounding = half_of(down) as i32;
        for (x, values) in x.chunks(CHUNK).zip(values.chunks_mut(CHUNK)) {
            let mut indices = [0_u32; CHUNK];
            for (index, m) in indices.iter_mut().zip(x) {
                let point = ((i32::from(*m) << up) + rounding) >> down;
                *index = (point.clamp(-limit, limit) + half) as u32;
            }
            for (value, index) in values.iter_mut().zip(indices) {
                *value = entries
                    .get(index as usize)
                    .map_or(0, |entry| i64::from(*entry));
            }
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
    let limit = 1_i64 << 40;
    let (values, exponents) = wide.reset(input.mantissas.len(), 1);
    exponents.fill(-30);
    let from = input.exponent();
    for (value, m) in values.iter_mut().zip(input.mantissas) {
        *value = align(i64::from(*m), from, table.exponent).clamp(-limit, limit);
    }
    let greatest = values.iter().copied().max().unwrap_or(0);
    let last = table.weights.mantissas.len().saturating_sub(1);
    let mut sum = 0;
    for value in values.iter_mut() {
        let units = rescale(
            greatest - *value,
            table.scale.multiplier,
            table.scale.places,
        );
        let weight = table.weights.mantissas.get((units as usize).min(last));
        *value = weight.map_or(0, |weight| i64::from(*weight));
        sum += *value;
    }
    for value in values.iter_mut() {
        *value = divide(*value << 30, sum);
    }
    finish(kernels, wide, form, out)
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
    for (input, value) in values.iter_mut().enumerate() {
        *value = weights.value(output, input) << places;
    }
    finish(kernels, wide, form, out)
}
