//! From dot products to rows: the bias is added, and rows are written, as `Linear` and `Convolve` do.

use super::{align_all, finish_rows, half_of, places};
use crate::{
    lanes::{Lanes, Operation},
    path::Kernels,
    row::RowMut,
};
use og_program::{
    matrix::BLOCK,
    numbers::{WIDE_MAX, mantissa_max},
    operation::Vector,
    value::{Form, moved},
};

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

/// The exponent of dot products of a row at `exponent` with a matrix at `matrix_exponent`.
#[must_use]
pub fn dot_exponent(exponent: i32, matrix_exponent: i32) -> i32 {
    moved(exponent, matrix_exponent)
}
