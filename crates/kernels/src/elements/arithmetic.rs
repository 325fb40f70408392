//! Sums, products, rotations.

use crate::{
    finish::{finish, half_of, places},
    lanes::{Lanes, Operation},
    path::Kernels,
    row::{Row, RowMut, Wide},
};
use og_program::{
    numbers::divide,
    operation::{Reduction, Rotation, Vector},
    value::{Form, joint_exponent, moved},
};

/// Places by which products with a sine are too large.
const SINE_PLACES: i32 = 14;

/// The sum of two rows.
pub fn add(
    kernels: Kernels,
    left: Row<'_>,
    right: Row<'_>,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(left.mantissas.len(), left.exponents.len());
    kernels.run(Add {
        left,
        right,
        values,
        exponents,
    });
    finish(kernels, wide, form, out)
}

struct Add<'a> {
    left: Row<'a>,
    right: Row<'a>,
    values: &'a mut [i64],
    exponents: &'a mut [i32],
}

impl Operation for Add<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let length = self.values.len() / self.exponents.len().max(1);
        let values = self.values.chunks_exact_mut(length.max(1));
        let parts = self.left.parts().zip(self.right.parts());
        for ((values, to), ((a, from_a), (b, from_b))) in values.zip(self.exponents).zip(parts) {
            *to = joint_exponent(&[from_a, from_b]);
            // Raised by at most 16 places: the sum stays below 2^33.
            let ((down_a, up_a), (down_b, up_b)) = (places(from_a, *to), places(from_b, *to));
            let (half_a, half_b) = (half_of(down_a), half_of(down_b));
            for ((value, a), b) in values.iter_mut().zip(a).zip(b) {
                let a = ((i64::from(*a) << up_a.min(16)) + half_a) >> down_a;
                let b = ((i64::from(*b) << up_b.min(16)) + half_b) >> down_b;
                *value = a + b;
            }
        }
    }
}

/// The product of two rows, element by element.
pub fn multiply(
    kernels: Kernels,
    left: Row<'_>,
    right: Row<'_>,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(left.mantissas.len(), left.exponents.len());
    for ((to, a), b) in exponents
        .iter_mut()
        .zip(left.exponents)
        .zip(right.exponents)
    {
        *to = moved(*a, *b);
    }
    kernels.run(Multiply {
        left: left.mantissas,
        right: right.mantissas,
        values,
    });
    finish(kernels, wide, form, out)
}

struct Multiply<'a> {
    left: &'a [i16],
    right: &'a [i16],
    values: &'a mut [i64],
}

impl Operation for Multiply<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for ((value, a), b) in self.values.iter_mut().zip(self.left).zip(self.right) {
            *value = i64::from(i32::from(*a) * i32::from(*b));
        }
    }
}

/// The same numbers in another type.
pub fn cast(
    kernels: Kernels,
    input: Row<'_>,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(input.mantissas.len(), input.exponents.len());
    exponents.copy_from_slice(input.exponents);
    for (value, m) in values.iter_mut().zip(input.mantissas) {
        *value = i64::from(*m);
    }
    finish(kernels, wide, form, out)
}

/// Elements below zero become zero. Exponents stay.
pub fn rectify(mantissas: &[i16], out: &mut [i16]) {
    for (out, m) in out.iter_mut().zip(mantissas) {
        *out = (*m).max(0);
    }
}

/// One number for a row with one exponent.
pub fn reduce(
    kernels: Kernels,
    input: Row<'_>,
    reduction: Reduction,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let sum = || input.mantissas.iter().map(|m| i64::from(*m)).sum::<i64>();
    let exponent = input.exponent();
    let (value, exponent) = match reduction {
        Reduction::Greatest => {
            let greatest = input.mantissas.iter().max().copied().unwrap_or(0);
            (i64::from(greatest), exponent)
        }
        Reduction::Sum => (sum(), exponent),
        Reduction::Mean => {
            let mean = divide(sum() << 16, input.mantissas.len() as i64);
            (mean, moved(exponent, -16))
        }
    };
    let (values, exponents) = wide.reset(1, 1);
    (values[0], exponents[0]) = (value, exponent);
    finish(kernels, wide, form, out)
}

/// Sines and cosines of one position, for all pairs of a head; compute them once for all heads and layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Angles {
    sines: Vec<i16>,
    cosines: Vec<i16>,
    halves: bool,
}

impl Angles {
    /// The angles of `position`. `sine` is the vector that the rotation names; it has a power of two entries.
    #[must_use]
    pub fn new(rotation: &Rotation, sine: &Vector, position: u64) -> Self {
        let entries = sine.mantissas.len();
        let bits = entries.trailing_zeros().clamp(1, 63);
        let half = 1 << (63 - bits);
        let indices = rotation.steps.iter().map(|step| {
            let turns = step.wrapping_mul(position).wrapping_add(half);
            (turns >> (64 - bits)) as usize
        });
        let entry = |index: usize| {
            sine.mantissas
                .get(index % entries.max(1))
                .copied()
                .unwrap_or(0)
        };
        let (sines, cosines) = indices
            .map(|index| (entry(index), entry(index + entries / 4)))
            .unzip();
        Self {
            sines,
            cosines,
            halves: rotation.halves,
        }
    }
}

/// Pairs of each of `heads` equal parts turned.
pub fn rotate(
    kernels: Kernels,
    input: Row<'_>,
    heads: usize,
    angles: &Angles,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(input.mantissas.len(), input.exponents.len());
    for (to, from) in exponents.iter_mut().zip(input.exponents) {
        *to = moved(*from, -SINE_PLACES);
    }
    let length = input.mantissas.len() / heads.max(1);
    kernels.run(Rotate {
        input: input.mantissas,
        length,
        angles,
        values,
    });
    finish(kernels, wide, form, out)
}

struct Rotate<'a> {
    input: &'a [i16],
    length: usize,
    angles: &'a Angles,
    values: &'a mut [i64],
}

impl Operation for Rotate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let length = self.length.max(1);
        let Angles { sines, cosines, .. } = self.angles;
        let pairs = sines.len().min(length / 2);
        let heads = self
            .input
            .chunks_exact(length)
            .zip(self.values.chunks_exact_mut(length));
        for (x, y) in heads {
            let (x, still) = x.split_at(2 * pairs);
            let (y, kept) = y.split_at_mut(2 * pairs);
            for (kept, m) in kept.iter_mut().zip(still) {
                *kept = i64::from(*m) << SINE_PLACES;
            }
            if self.angles.halves {
                let ((a, b), (first, second)) = (x.split_at(pairs), y.split_at_mut(pairs));
                let (a, b) = (a.iter().zip(b), first.iter_mut().zip(second));
                let turns = sines.iter().zip(cosines);
                for (((a, b), (first, second)), (sin, cos)) in a.zip(b).zip(turns) {
                    (*first, *second) = turned(*a, *b, *sin, *cos);
                }
            } else {
                let turns = sines.iter().zip(cosines);
                let (x, y) = (x.as_chunks::<2>().0, y.as_chunks_mut::<2>().0);
                for ((x, y), (sin, cos)) in x.iter().zip(y).zip(turns) {
                    (y[0], y[1]) = turned(x[0], x[1], *sin, *cos);
                }
            }
        }
    }
}

/// `(a·cos - b·sin, a·sin + b·cos)`: each product fits 32 bits.
#[inline(always)]
fn turned(a: i16, b: i16, sin: i16, cos: i16) -> (i64, i64) {
    let [a, b, sin, cos] = [a, b, sin, cos].map(i32::from);
    (
        i64::from(a * cos) - i64::from(b * sin),
        i64::from(a * sin) + i64::from(b * cos),
    )
}
