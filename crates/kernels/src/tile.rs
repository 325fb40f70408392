//! The innermost loop of matrix products, scores and weighted sums: 16-bit pairs of `R` rows times panels of `B` vectors.

use crate::lanes::Lanes;
use core::ops::Range;

/// 32-bit sums of `R` rows for `B` vectors of sixteen columns.
pub(crate) type Sums<L, const R: usize, const B: usize> = [[<L as Lanes>::V; B]; R];

/// No sums yet.
#[inline(always)]
pub(crate) fn zero<L: Lanes, const R: usize, const B: usize>(lanes: L) -> Sums<L, R, B> {
    [[lanes.zero(); B]; R]
}

/// Adds `Σ panel · row` over pairs of columns to sums. `panel` has vectors of 16 pairs, of which the first `B` of every
/// `stride` are used; `rows` has, for each pair of columns, that pair of each of the `R` rows. Stops where either ends.
#[inline(always)]
pub(crate) fn accumulate<L: Lanes, const R: usize, const B: usize>(
    lanes: L,
    mut sums: Sums<L, R, B>,
    panel: &[[i16; 32]],
    stride: usize,
    rows: &[i32],
) -> Sums<L, R, B> {
    let rows = rows.as_chunks::<R>().0;
    for (vectors, pairs) in panel.chunks(stride).zip(rows) {
        let Some(vectors) = vectors.first_chunk::<B>() else {
            break;
        };
        let vectors: [L::V; B] = core::array::from_fn(|b| lanes.load(&vectors[b]));
        for r in 0..R {
            let pair = lanes.splat(pairs[r]);
            for b in 0..B {
                sums[r][b] = lanes.dot(sums[r][b], vectors[b], pair);
            }
        }
    }
    sums
}

/// As [`accumulate`], for rows that lie one after another: `rows` are sixteen pairs of each, of which those of `pairs` are
/// used. The panel begins at the first of them.
#[inline(always)]
pub(crate) fn accumulate_rows<L: Lanes, const R: usize, const B: usize>(
    lanes: L,
    mut sums: Sums<L, R, B>,
    panel: &[[i16; 32]],
    stride: usize,
    rows: &[[i32; 16]; R],
    pairs: Range<usize>,
) -> Sums<L, R, B> {
    for (vectors, pair) in panel.chunks(stride).zip(pairs) {
        let Some(vectors) = vectors.first_chunk::<B>() else {
            break;
        };
        let vectors: [L::V; B] = core::array::from_fn(|b| lanes.load(&vectors[b]));
        for r in 0..R {
            let pair = lanes.splat(rows[r][pair % 16]);
            for b in 0..B {
                sums[r][b] = lanes.dot(sums[r][b], vectors[b], pair);
            }
        }
    }
    sums
}

/// Calls a function whose first constant parameter is a height of 1 to 8 that is known at run time only. A path has
/// code for heights up to its [`Lanes::ROWS`] only.
macro_rules! with_height {
    ($height:expr, $function:ident::<$L:ty $(, $parameter:ty)*>($($argument:expr),* $(,)?)) => {
        match $height {
            1 if <$L>::ROWS >= 1 => $function::<$L $(, $parameter)*, 1>($($argument),*),
            2 if <$L>::ROWS >= 2 => $function::<$L $(, $parameter)*, 2>($($argument),*),
            3 if <$L>::ROWS >= 3 => $function::<$L $(, $parameter)*, 3>($($argument),*),
            4 if <$L>::ROWS >= 4 => $function::<$L $(, $parameter)*, 4>($($argument),*),
            5 if <$L>::ROWS >= 5 => $function::<$L $(, $parameter)*, 5>($($argument),*),
            6 if <$L>::ROWS >= 6 => $function::<$L $(, $parameter)*, 6>($($argument),*),
            7 if <$L>::ROWS >= 7 => $function::<$L $(, $parameter)*, 7>($($argument),*),
            8 if <$L>::ROWS >= 8 => $function::<$L $(, $parameter)*, 8>($($argument),*),
            _ => {}
        }
    };
}
pub(crate) use with_height;

/// The most rows of a tile, on any path: what [`with_height`] knows.
pub(crate) const MOST_ROWS: usize = 8;

/// `count` things cut into pieces of at most `most` whose lengths differ by one at most: the first thing and the length
/// of piece `piece`.
pub(crate) const fn piece(count: usize, most: usize, piece: usize) -> (usize, usize) {
    let pieces = count.div_ceil(most);
    let first = piece * count / pieces;
    (first, (piece + 1) * count / pieces - first)
}
