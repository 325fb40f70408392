//! Pooling.

use super::Picture;
use crate::{
    divide::Divisor,
    finish::finish_rows,
    lanes::{Lanes, Operation},
    path::Kernels,
    row::{RowMut, Wide},
};
use core::ops::Range;
use og_program::{
    operation::{Pooling, Window},
    value::{Form, moved},
};

/// Rows that are written at once.
const ROWS_AT_ONCE: usize = 16;

/// Writes some rows of the output of pooling a picture whose elements have `exponent`, and gives how many elements were
/// clamped.
#[expect(clippy::too_many_arguments, reason = "what a step of a program names")]
pub fn pool(
    kernels: Kernels,
    picture: Picture<'_>,
    exponent: i32,
    pooling: Pooling,
    window: &Window,
    rows: Range<usize>,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    kernels.run(Pool {
        picture,
        exponent,
        pooling,
        window,
        rows,
        form,
        values: &mut wide.values,
        out,
    })
}

struct Pool<'a> {
    picture: Picture<'a>,
    exponent: i32,
    pooling: Pooling,
    window: &'a Window,
    rows: Range<usize>,
    form: &'a Form,
    values: &'a mut Vec<i64>,
    out: RowMut<'a>,
}

impl Operation for Pool<'_> {
    type Output = u64;
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> u64 {
        let Self {
            picture,
            pooling,
            window,
            values,
            out,
            ..
        } = self;
        let channels = picture.channels.max(1);
        let parts = (out.exponents.len() / self.rows.len().max(1)).max(1);
        let exponent = match pooling {
            Pooling::Greatest => self.exponent,
            Pooling::Mean | Pooling::MeanOfAll => moved(self.exponent, -16),
        };
        values.resize(ROWS_AT_ONCE * channels, 0);
        let RowMut {
            mantissas,
            exponents,
        } = out;
        let out = mantissas.chunks_mut(ROWS_AT_ONCE * channels);
        let out = out.zip(exponents.chunks_mut(ROWS_AT_ONCE * parts));
        let mut clamped = 0;
        for (first, (mantissas, exponents)) in self.rows.step_by(ROWS_AT_ONCE).zip(out) {
            let values = &mut values[..mantissas.len()];
            for (row, values) in values.chunks_exact_mut(channels).enumerate() {
                pool_row(picture, pooling, window, first + row, values);
            }
            let out = RowMut {
                mantissas,
                exponents,
            };
            clamped += finish_rows(lanes, values, channels, exponent, self.form, out);
        }
        clamped
    }
}

/// One row; means have 16 places more.
#[inline(always)]
fn pool_row(
    picture: Picture<'_>,
    pooling: Pooling,
    window: &Window,
    row: usize,
    values: &mut [i64],
) {
    let mut seen = 0_u64;
    let greatest = pooling == Pooling::Greatest;
    values.fill(if greatest { i64::MIN } else { 0 });
    for pixel in window.under(row).flatten() {
        seen += 1;
        let x = values.iter_mut().zip(picture.pixel(pixel));
        if greatest {
            x.for_each(|(value, m)| *value = (*value).max(i64::from(*m)));
        } else {
            x.for_each(|(value, m)| *value += i64::from(*m));
        }
    }
    let count = match pooling {
        Pooling::Greatest => {
            // The greatest of nothing is 0.
            if seen == 0 {
                values.fill(0);
            }
            return;
        }
        Pooling::Mean => seen,
        Pooling::MeanOfAll => u64::from(window.size[0]) * u64::from(window.size[1]),
    };
    let count = Divisor::new(count);
    for value in values {
        *value = count.divide(*value << 16);
    }
}
