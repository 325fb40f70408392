//! Convolutions: which kernel one gets, and what all share.

use super::{
    dense::Dense,
    grouped::{Grouped, Rows},
    windows::Windows,
};
use crate::{finish::LinearFinish, path::Kernels, row::RowMut};
use core::ops::Range;
use og_program::{matrix::Weights, operation::Window};

/// A value that a window slides over: rows are pixels.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Row-major mantissas.
    pub mantissas: &'a [i16],
    /// Elements of a row.
    pub channels: usize,
}

impl<'a> Picture<'a> {
    pub(super) fn pixel(self, pixel: usize) -> &'a [i16] {
        let at = pixel * self.channels;
        self.mantissas.get(at..at + self.channels).unwrap_or(&[])
    }
}

/// A convolution made ready: its weights are unpacked, since they are few beside the windows that they meet.
#[derive(Clone, Debug)]
pub struct Convolution(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Dense(Dense),
    /// Channels in groups, and what [`Dense`] cannot take.
    Grouped(Grouped),
}

impl Convolution {
    /// Unpacks a matrix for pictures of `channels`, in `groups`, whose mantissas have at most the magnitude `largest`.
    #[must_use]
    pub fn new(
        weights: &Weights<'_>,
        window: &Window,
        channels: usize,
        groups: usize,
        largest: i64,
    ) -> Self {
        let dense = (groups == 1)
            .then(|| Dense::new(weights, window, channels, largest))
            .flatten();
        Self(dense.map_or_else(
            || Kind::Grouped(Grouped::new(weights, window, groups)),
            Kind::Dense,
        ))
    }

    /// Replaces `to` by what [`Self::rows`] reads of pictures, one after another.
    pub fn prepare<'a>(&self, pictures: impl Iterator<Item = Picture<'a>>, to: &mut Vec<i16>) {
        to.clear();
        for picture in pictures {
            match &self.0 {
                Kind::Dense(dense) => dense.pad(picture, to),
                Kind::Grouped(_) => to.extend_from_slice(picture.mantissas),
            }
        }
    }

    /// Writes some rows of the output for picture number `picture` of those that were [prepared](Self::prepare), and
    /// gives how many elements were clamped. `sums` is reused memory.
    #[expect(clippy::too_many_arguments, reason = "what a step of a program names")]
    pub fn rows(
        &self,
        kernels: Kernels,
        prepared: &[i16],
        picture: usize,
        rows: Range<usize>,
        finish: LinearFinish<'_>,
        sums: &mut Vec<i64>,
        out: RowMut<'_>,
    ) -> u64 {
        let of = |length: usize| {
            let picture = prepared.get(picture * length..(picture + 1) * length);
            picture.unwrap_or(&[])
        };
        match &self.0 {
            Kind::Dense(dense) => kernels.run(Windows {
                of: dense,
                padded: of(dense.padded()),
                rows,
                finish,
                sums,
                out,
            }),
            Kind::Grouped(grouped) => kernels.run(Rows {
                of: grouped,
                picture: of(grouped.elements()),
                rows,
                finish,
                sums,
                out,
            }),
        }
    }
}
