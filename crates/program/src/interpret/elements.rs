//! Operations on one row at a time: linear maps, sums, norms, rotations, functions.

use super::{Operand, Row};
use crate::{
    matrix::Weights,
    numbers::{align, divide, inverse_root, mantissa_max, rescale},
    operation::{Number, Reduction, Rotation, Scale, Table, Vector},
    value::{joint_exponent, moved, sum_at},
};

/// Places by which the root of a mean square and products of 14-bit sines are too large.
const SINE_PLACES: i32 = 14;

pub(super) fn embed(weights: Weights<'_>, index: u32) -> Row<'_> {
    let last = weights.matrix.outputs as usize - 1;
    let output = (index as usize).min(last);
    let places = weights.shift(output);
    Row::new(
        weights.matrix.inputs as usize,
        weights.matrix.exponent,
        move |column| weights.value(output, column) << places,
    )
}

pub(super) fn linear<'a>(
    weights: Weights<'a>,
    x: &'a [i16],
    exponent: i32,
    bias: Option<&'a Vector>,
) -> Row<'a> {
    let width = weights.matrix.outputs as usize;
    let exponent = moved(exponent, weights.matrix.exponent);
    let Some(bias) = bias else {
        return Row::new(width, exponent, move |column| weights.dot(column, x));
    };
    let to = exponent.max(bias.exponent - 16);
    Row::new(width, to, move |column| {
        let constant = (i64::from(bias.mantissas[column]), bias.exponent);
        sum_at((weights.dot(column, x), exponent), constant, to)
    })
}

pub(super) fn add<'a>(left: Operand<'a>, right: Operand<'a>, row: usize) -> Row<'a> {
    let parts = left.of.parts();
    let width = left.of.width as usize;
    let pairs = left.exponents(row).iter().zip(right.exponents(row));
    let exponents: Vec<i32> = pairs.map(|(a, b)| joint_exponent(&[*a, *b])).collect();
    let to = exponents.clone();
    let (a, b) = (left.row(row), right.row(row));
    let element = move |column: usize| {
        let a = (i64::from(a[column]), left.exponent(row, column));
        let b = (i64::from(b[column]), right.exponent(row, column));
        sum_at(a, b, to[column / (width / parts)])
    };
    Row {
        exponents,
        width,
        element: Box::new(element),
    }
}

pub(super) fn multiply<'a>(left: Operand<'a>, right: Operand<'a>, row: usize) -> Row<'a> {
    let pairs = left.exponents(row).iter().zip(right.exponents(row));
    let exponents = pairs.map(|(a, b)| moved(*a, *b)).collect();
    let (a, b) = (left.row(row), right.row(row));
    let element = move |column: usize| i64::from(a[column]) * i64::from(b[column]);
    Row {
        exponents,
        width: left.of.width as usize,
        element: Box::new(element),
    }
}

pub(super) fn root_mean_square<'a>(
    input: Operand<'a>,
    row: usize,
    gain: &'a Vector,
    epsilon: Number,
    parts: usize,
) -> Row<'a> {
    let width = input.of.width as usize;
    let length = width / parts;
    let x = input.row(row);
    let (roots, exponents): (Vec<i64>, Vec<i32>) = (0..parts)
        .map(|part| {
            let exponent = input.exponent(row, part * length);
            let squares: i64 = x[part * length..][..length]
                .iter()
                .map(|m| i64::from(*m) * i64::from(*m))
                .sum();
            inverse_root_of_mean(squares, exponent, epsilon, gain.exponent)
        })
        .unzip();
    let element = move |column: usize| {
        i64::from(x[column]) * roots[column / length] * i64::from(gain.mantissas[column % length])
    };
    Row {
        exponents,
        width,
        element: Box::new(element),
    }
}

/// The root `r` that elements are multiplied by, and the exponent of the products.
fn inverse_root_of_mean(
    squares: i64,
    exponent: i32,
    epsilon: Number,
    gain_exponent: i32,
) -> (i64, i32) {
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
            i64::from(root),
            moved(exponent + gain_exponent, t / 2 - 31 - to / 2),
        ),
    }
}

pub(super) fn centre<'a>(input: Operand<'a>, row: usize) -> Row<'a> {
    let x = input.row(row);
    let sum: i64 = x.iter().map(|m| i64::from(*m)).sum();
    let length = x.len() as i64;
    Row::new(x.len(), input.exponent(row, 0), move |column| {
        length * i64::from(x[column]) - sum
    })
}

pub(super) fn rotate<'a>(
    input: Operand<'a>,
    row: usize,
    heads: usize,
    rotation: &'a Rotation,
    sine: &'a Vector,
    position: u64,
) -> Row<'a> {
    let width = input.of.width as usize;
    let (length, pairs) = (width / heads, rotation.steps.len());
    let exponents = input
        .exponents(row)
        .iter()
        .map(|e| moved(*e, -SINE_PLACES))
        .collect();
    let x = input.row(row);
    let element = move |column: usize| {
        let (head, place) = (column / length * length, column % length);
        if place >= 2 * pairs {
            return i64::from(x[column]) << SINE_PLACES;
        }
        let (pair, second) = if rotation.halves {
            (place % pairs, place >= pairs)
        } else {
            (place / 2, place % 2 == 1)
        };
        let (a, b) = if rotation.halves {
            (pair, pair + pairs)
        } else {
            (2 * pair, 2 * pair + 1)
        };
        let (a, b) = (i64::from(x[head + a]), i64::from(x[head + b]));
        let (sin, cos) = angle(rotation.steps[pair], sine, position);
        if second {
            a * sin + b * cos
        } else {
            a * cos - b * sin
        }
    };
    Row {
        exponents,
        width,
        element: Box::new(element),
    }
}

/// Sine and cosine of `position · step`, in turns of 2^64, each to the nearest entry of the table.
pub(super) fn angle(step: u64, sine: &Vector, position: u64) -> (i64, i64) {
    let entries = sine.mantissas.len();
    let bits = entries.trailing_zeros();
    let turns = step.wrapping_mul(position).wrapping_add(1 << (63 - bits));
    let index = (turns >> (64 - bits)) as usize;
    (
        i64::from(sine.mantissas[index]),
        i64::from(sine.mantissas[(index + entries / 4) % entries]),
    )
}

/// The entry of a table at a number: the nearest point of its grid, or its end.
pub(crate) fn entry(table: &Table, x: i16, exponent: i32) -> i64 {
    let half = 1_i64 << (table.bits - 1);
    let limit = i64::from(mantissa_max(table.bits));
    let point = align(i64::from(x), exponent, table.exponent).clamp(-limit, limit);
    i64::from(table.entries.mantissas[(point + half) as usize])
}

pub(super) fn gate<'a>(
    input: Operand<'a>,
    other: Option<Operand<'a>>,
    table: &'a Table,
    row: usize,
) -> Row<'a> {
    let width = input.of.width as usize;
    let exponents = input.exponents(row).iter().enumerate().map(|(part, e)| {
        let other = other.as_ref().map_or(0, |other| other.exponents(row)[part]);
        moved(moved(*e, other), table.entries.exponent)
    });
    let exponents = exponents.collect();
    let element = move |column: usize| {
        let x = input.row(row)[column];
        let factor = other
            .as_ref()
            .map_or(1, |other| i64::from(other.row(row)[column]));
        i64::from(x) * entry(table, x, input.exponent(row, column)) * factor
    };
    Row {
        exponents,
        width,
        element: Box::new(element),
    }
}

pub(super) fn lookup<'a>(input: Operand<'a>, table: &'a Table, row: usize) -> Row<'a> {
    Row::new(
        input.of.width as usize,
        table.entries.exponent,
        move |column| entry(table, input.row(row)[column], input.exponent(row, column)),
    )
}

pub(super) fn cast<'a>(input: Operand<'a>, row: usize) -> Row<'a> {
    let x = input.row(row);
    Row {
        exponents: input.exponents(row).to_vec(),
        width: x.len(),
        element: Box::new(move |column| i64::from(x[column])),
    }
}

/// The weight of a score that is `below` the greatest.
pub(super) fn weight(below: i64, scale: Scale, weights: &Vector) -> i64 {
    let units = rescale(below, scale.multiplier, scale.places);
    let last = weights.mantissas.len() - 1;
    i64::from(weights.mantissas[(units as usize).min(last)])
}

pub(super) fn softmax<'a>(
    input: Operand<'a>,
    row: usize,
    exponent: i32,
    scale: Scale,
    weights: &'a Vector,
) -> Row<'a> {
    let from = input.exponent(row, 0);
    let limit = 1_i64 << 40;
    let x: Vec<i64> = input
        .row(row)
        .iter()
        .map(|m| align(i64::from(*m), from, exponent).clamp(-limit, limit))
        .collect();
    let greatest = x.iter().copied().max().unwrap_or(0);
    let terms: Vec<i64> = x
        .iter()
        .map(|x| weight(greatest - x, scale, weights))
        .collect();
    let sum: i64 = terms.iter().sum();
    Row::new(x.len(), -30, move |column| divide(terms[column] << 30, sum))
}

pub(super) fn reduce<'a>(input: Operand<'a>, row: usize, reduction: Reduction) -> Row<'a> {
    let x = input.row(row).iter().map(|m| i64::from(*m));
    let exponent = input.exponent(row, 0);
    let (value, exponent) = match reduction {
        Reduction::Greatest => (x.max().unwrap_or(0), exponent),
        Reduction::Sum => (x.sum(), exponent),
        Reduction::Mean => (
            divide(x.sum::<i64>() << 16, input.of.width.into()),
            moved(exponent, -16),
        ),
    };
    Row::new(1, exponent, move |_| value)
}
