//! Pooling.

use super::Picture;
use crate::{
    divide::Divisor,
    finish::finish,
    path::Kernels,
    row::{RowMut, Wide},
};
use og_program::{
    operation::{Pooling, Window},
    value::{Form, moved},
};

/// One row of the output of pooling a picture whose elements have `exponent`.
#[expect(clippy::too_many_arguments, reason = "what a step of a program names")]
pub fn pool(
    kernels: Kernels,
    picture: Picture<'_>,
    exponent: i32,
    pooling: Pooling,
    window: &Window,
    row: usize,
    form: &Form,
    wide: &mut Wide,
    out: RowMut<'_>,
) -> u64 {
    let (values, exponents) = wide.reset(picture.channels, 1);
    let mut seen = 0;
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
    exponents[0] = if greatest {
        exponent
    } else {
        moved(exponent, -16)
    };
    let count = match pooling {
        Pooling::Greatest => None,
        Pooling::Mean => Some(seen),
        Pooling::MeanOfAll => Some(i64::from(window.size[0]) * i64::from(window.size[1])),
    };
    match count {
        // Nothing is seen: the greatest of nothing is 0.
        None if seen == 0 => values.fill(0),
        None => {}
        Some(count) => {
            let count = Divisor::new(count as u64);
            for value in values.iter_mut() {
                *value = count.divide(*value << 16);
            }
        }
    }
    finish(kernels, wide, form, out)
}
