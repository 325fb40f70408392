//! From wide rows to rows of mantissas: `normalise` and `saturate`, as `og_program::value::finish` does.

mod linear;

pub(crate) use linear::LoweringFinish;
pub use linear::{LinearFinish, dot_exponent};

use crate::{
    lanes::{Lanes, Operation},
    path::Kernels,
    row::{RowMut, Wide},
};
use og_program::{
    numbers::{WIDE_MAX, mantissa_max, row_exponent},
    value::{Form, joint_exponent},
};

/// Writes a wide row as a row of type `form`, and gives how many elements were clamped by `saturate`. The row may be
/// aligned in place, if its parts are joined. An index has no mantissas: nothing is written.
pub fn finish(kernels: Kernels, wide: &mut Wide, form: &Form, out: RowMut<'_>) -> u64 {
    finish_values(kernels, &mut wide.values, &wide.exponents, form, out)
}

/// As [`finish`], for elements and exponents that lie elsewhere.
pub fn finish_values(
    kernels: Kernels,
    values: &mut [i64],
    exponents: &[i32],
    form: &Form,
    out: RowMut<'_>,
) -> u64 {
    kernels.run(Finish {
        values,
        exponents,
        form,
        out,
    })
}

/// Writes rows of `width` whose elements have one exponent.
#[inline(always)]
pub(crate) fn finish_rows<L: Lanes>(
    lanes: L,
    values: &mut [i64],
    width: usize,
    exponent: i32,
    form: &Form,
    out: RowMut<'_>,
) -> u64 {
    if let Form::Fixed { bits, exponents } = form
        && let [to] = exponents[..]
    {
        out.exponents.fill(to);
        return saturate(values, exponent, to, *bits, out.mantissas);
    }
    let width = width.max(1);
    let parts = out.exponents.len() * width / values.len().max(1);
    let rows = out.mantissas.chunks_exact_mut(width);
    let rows = rows.zip(out.exponents.chunks_exact_mut(parts.max(1)));
    let each = values.chunks_exact_mut(width).zip(rows);
    each.map(|(values, (mantissas, exponents))| {
        let out = RowMut {
            mantissas,
            exponents,
        };
        let finish = Finish {
            values,
            exponents: &[exponent],
            form,
            out,
        };
        finish.run(lanes)
    })
    .sum()
}

/// By how many places `align` shifts down, and by how many up: one of them is 0.
#[inline(always)]
pub(crate) fn places(from: i32, to: i32) -> (u32, u32) {
    let places = to.abs_diff(from);
    if from < to {
        (places.min(62), 0)
    } else {
        (0, places)
    }
}

/// What is added before shifting down.
#[inline(always)]
pub(crate) fn half_of(places: u32) -> i64 {
    if places == 0 { 0 } else { 1 << (places - 1) }
}

/// `align` of every element, in place.
#[inline(always)]
pub(crate) fn align_all(values: &mut [i64], from: i32, to: i32) {
    let (down, up) = places(from, to);
    if down > 0 {
        let half = half_of(down);
        for value in values {
            *value = (*value + half) >> down;
        }
    } else if up > 0 {
        // Magnitudes from 2^(62 - up) on would leave the width.
        let limit = 1_i64.checked_shl(62_u32.saturating_sub(up)).unwrap_or(1) - 1;
        let up = up.min(62);
        for value in values {
            let raised = (*value).clamp(-limit, limit) << up;
            *value = if *value > limit {
                WIDE_MAX
            } else if *value < -limit {
                -WIDE_MAX
            } else {
                raised
            };
        }
    }
}

struct Finish<'a> {
    values: &'a mut [i64],
    exponents: &'a [i32],
    form: &'a Form,
    out: RowMut<'a>,
}

impl Operation for Finish<'_> {
    type Output = u64;
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> u64 {
        let Self {
            values,
            exponents,
            form,
            out,
        } = self;
        let parts = out.exponents.len();
        if parts == 0 || exponents.is_empty() || values.is_empty() {
            return 0;
        }
        let (have, length) = (exponents.len(), values.len() / parts);
        let mut clamped = 0;
        for (index, part) in values.chunks_exact_mut(length.max(1)).enumerate() {
            let Some(mantissas) = out.mantissas.get_mut(index * length..(index + 1) * length)
            else {
                break;
            };
            let exponent = if have > parts {
                let from = &exponents[index * (have / parts)..][..have / parts];
                join(part, from)
            } else {
                exponents[index * have / parts]
            };
            out.exponents[index] = match form {
                Form::Fixed { bits, exponents } => {
                    let to = exponents.get(index).copied().unwrap_or(0);
                    clamped += saturate(part, exponent, to, *bits, mantissas);
                    to
                }
                Form::Scaled { bits, .. } => normalise(part, exponent, *bits, mantissas),
                Form::Index => 0,
            };
        }
        clamped
    }
}

/// Aligns parts that become one, and gives their common exponent.
#[inline(always)]
fn join(values: &mut [i64], exponents: &[i32]) -> i32 {
    let to = joint_exponent(exponents);
    let length = values.len() / exponents.len();
    for (part, from) in values.chunks_exact_mut(length.max(1)).zip(exponents) {
        align_all(part, *from, to);
    }
    to
}

#[inline(always)]
fn normalise(values: &[i64], exponent: i32, bits: u8, out: &mut [i16]) -> i32 {
    // All magnitudes or-ed have as many bits as the largest.
    let any = values
        .iter()
        .fold(0, |any, value| any | value.unsigned_abs());
    let (to, places) = row_exponent(any as i64, exponent, bits);
    round(values, places, bits, out);
    to
}

/// `shift` of each element by `places`, clamped to mantissas of `bits` bits.
#[inline(always)]
fn round(values: &[i64], places: u32, bits: u8, out: &mut [i16]) {
    let (half, limit) = (half_of(places), i64::from(mantissa_max(bits)));
    for (out, value) in out.iter_mut().zip(values) {
        *out = ((value + half) >> places).clamp(-limit, limit) as i16;
    }
}

#[inline(always)]
fn saturate(values: &[i64], from: i32, to: i32, bits: u8, out: &mut [i16]) -> u64 {
    let limit = i64::from(mantissa_max(bits));
    let (down, up) = places(from, to);
    // What exceeds 2^16 exceeds the limit however far it is raised, and what is raised by 17 places does unless 0.
    let (half, up, most) = (half_of(down), up.min(17), 1_i64 << 16);
    let mut clamped = 0;
    if up == 0 {
        for (out, value) in out.iter_mut().zip(values) {
            let aligned = (value + half) >> down;
            let inside = aligned.clamp(-limit, limit);
            clamped += u64::from(inside != aligned);
            *out = inside as i16;
        }
    } else {
        for (out, value) in out.iter_mut().zip(values) {
            let aligned = (*value).clamp(-most, most) << up;
            let inside = aligned.clamp(-limit, limit);
            clamped += u64::from(inside != aligned);
            *out = inside as i16;
        }
    }
    clamped
}
