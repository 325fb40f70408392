//! From wide rows to rows of mantissas: `normalise` and `saturate`, as `og_program::value::finish` does.

use crate::{
    lanes::{Lanes, Operation},
    path::Kernels,
    row::{RowMut, Wide},
};
use og_program::{
    matrix::BLOCK,
    numbers::{WIDE_MAX, mantissa_max, row_exponent},
    operation::Vector,
    value::{Form, joint_exponent, moved},
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

/// What [`og_program::operation::Operation::Linear`] does with dot products: the bias is added, and rows are written.
#[derive(Clone, Copy, Debug)]
pub struct LinearFinish<'a> {
    /// The exponent of the dot products: see [`dot_exponent`].
    pub exponent: i32,
    /// An element for each output.
    pub bias: Option<&'a Vector>,
    /// The type of the rows that are written.
    pub form: &'a Form,
}

impl LinearFinish<'_> {
    /// Writes one row of dot products, and gives how many elements were clamped.
    pub fn row(self, kernels: Kernels, dots: &mut [i64], out: RowMut<'_>) -> u64 {
        kernels.run(FinishLinear {
            finish: self,
            dots,
            out,
        })
    }

    /// As [`Self::row`], for several rows of `width`.
    #[inline(always)]
    pub(crate) fn rows<L: Lanes>(
        self,
        lanes: L,
        dots: &mut [i64],
        width: usize,
        out: RowMut<'_>,
    ) -> u64 {
        let Some(bias) = self.bias else {
            return finish_rows(lanes, dots, width, self.exponent, self.form, out);
        };
        let to = self.exponent.max(bias.exponent - 16);
        align_all(dots, self.exponent, to);
        dots.chunks_exact_mut(width.max(1))
            .for_each(|dots| add_bias(dots, bias, to));
        finish_rows(lanes, dots, width, to, self.form, out)
    }
}

/// [`LinearFinish`] of rows with one fixed exponent that is not below that of the dot products, sixteen columns at a
/// time: what such rows need is the same for all of them.
#[derive(Clone, Debug)]
pub(crate) struct LoweringFinish {
    bias: Vec<[i64; BLOCK]>,
    down_to_bias: u32,
    down: u32,
    limit: i64,
    exponent: i32,
    /// Whether sums with the bias may exceed the width of wide numbers.
    clamps: bool,
}

impl LoweringFinish {
    /// For dot products of at most `largest` in magnitude; `None` for other rows.
    pub(crate) fn new(finish: &LinearFinish<'_>, width: usize, largest: u64) -> Option<Self> {
        let Form::Fixed { bits, exponents } = finish.form else {
            return None;
        };
        let &[exponent] = &exponents[..] else {
            return None;
        };
        let to = finish.bias.map_or(finish.exponent, |bias| {
            finish.exponent.max(bias.exponent - 16)
        });
        let bias = |block: usize| {
            let mut raised = [0; BLOCK];
            if let Some(bias) = finish.bias {
                let chunk = bias.mantissas.get(block * BLOCK..).unwrap_or(&[]);
                raise_bias(chunk, bias.exponent, to, &mut raised);
            }
            raised
        };
        (exponent >= to).then(|| Self {
            bias: (0..width.div_ceil(BLOCK)).map(bias).collect(),
            down_to_bias: places(finish.exponent, to).0,
            down: places(to, exponent).0,
            limit: i64::from(mantissa_max(*bits)),
            exponent,
            // A raised bias has at most 32 bits.
            clamps: largest >= 1 << 61,
        })
    }

    /// The exponent of the rows.
    pub(crate) const fn exponent(&self) -> i32 {
        self.exponent
    }

    /// Writes the columns of a block, as many of them as `out` has, from their dot products. `clamped` counts for each.
    #[inline(always)]
    pub(crate) fn block(
        &self,
        block: usize,
        dots: &[i64; BLOCK],
        out: &mut [i16],
        clamped: &mut [u64; BLOCK],
    ) {
        let bias = self.bias.get(block).unwrap_or(&[0; BLOCK]);
        // What is clamped beyond the columns counts nowhere: weights and bias are 0 there.
        match out.first_chunk_mut() {
            Some(out) => self.columns(dots, bias, out, clamped),
            None => {
                let mut all = [0; BLOCK];
                self.columns(dots, bias, &mut all, clamped);
                out.copy_from_slice(&all[..out.len()]);
            }
        }
    }

    #[inline(always)]
    fn columns(
        &self,
        dots: &[i64; BLOCK],
        bias: &[i64; BLOCK],
        out: &mut [i16; BLOCK],
        clamped: &mut [u64; BLOCK],
    ) {
        let mut sums = *dots;
        if self.down_to_bias > 0 {
            let half = half_of(self.down_to_bias);
            for sum in &mut sums {
                *sum = (*sum + half) >> self.down_to_bias;
            }
        }
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum += bias;
        }
        if self.clamps {
            for sum in &mut sums {
                *sum = (*sum).clamp(-WIDE_MAX, WIDE_MAX);
            }
        }
        let half = half_of(self.down);
        for ((sum, clamped), out) in sums.iter().zip(clamped).zip(out) {
            let aligned = (*sum + half) >> self.down;
            let inside = aligned.clamp(-self.limit, self.limit);
            *clamped += u64::from(inside != aligned);
            *out = inside as i16;
        }
    }
}

struct FinishLinear<'a> {
    finish: LinearFinish<'a>,
    dots: &'a mut [i64],
    out: RowMut<'a>,
}

impl Operation for FinishLinear<'_> {
    type Output = u64;
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> u64 {
        let width = self.dots.len();
        self.finish.rows(lanes, self.dots, width, self.out)
    }
}

/// Adds a bias to dot products at the exponent `to`.
#[inline(always)]
fn add_bias(dots: &mut [i64], bias: &Vector, to: i32) {
    for (dots, chunk) in dots.chunks_mut(BLOCK).zip(bias.mantissas.chunks(BLOCK)) {
        let mut raised = [0; BLOCK];
        raise_bias(chunk, bias.exponent, to, &mut raised);
        for (dot, bias) in dots.iter_mut().zip(raised) {
            *dot = (*dot + bias).clamp(-WIDE_MAX, WIDE_MAX);
        }
    }
}

/// `align` of a bias, to at least its exponent less 16.
#[inline(always)]
fn raise_bias(bias: &[i16], from: i32, to: i32, out: &mut [i64; BLOCK]) {
    let (down, up) = places(from, to);
    let half = half_of(down);
    for (out, m) in out.iter_mut().zip(bias) {
        *out = ((i64::from(*m) << up.min(16)) + half) >> down;
    }
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

/// The exponent of dot products of a row at `exponent` with a matrix at `matrix_exponent`.
#[must_use]
pub fn dot_exponent(exponent: i32, matrix_exponent: i32) -> i32 {
    moved(exponent, matrix_exponent)
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
