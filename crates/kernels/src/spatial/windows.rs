//! Convolutions of all channels: windows of a padded picture times a matrix, without copying what windows share.

use super::dense::{Dense, Pairs, Run};
use crate::{
    finish::{LinearFinish, LoweringFinish},
    lanes::{Lanes, Operation, pair},
    row::RowMut,
    tile::{self, MOST_ROWS, Sums, with_height},
};
use core::ops::Range;
use og_program::matrix::BLOCK;

/// Some rows of the output of one picture.
pub(super) struct Windows<'a> {
    pub(super) of: &'a Dense,
    pub(super) padded: &'a [i16],
    pub(super) rows: Range<usize>,
    pub(super) finish: LinearFinish<'a>,
    pub(super) sums: &'a mut Vec<i64>,
    pub(super) out: RowMut<'a>,
}

impl Operation for Windows<'_> {
    type Output = u64;
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> u64 {
        let Self {
            of,
            padded,
            rows,
            finish,
            sums,
            out,
        } = self;
        let (count, outputs) = (rows.len(), of.outputs);
        let parts = out.exponents.len() / count.max(1);
        let pairs: usize = of.runs.iter().map(|run| run.pairs).sum();
        let lowering = LoweringFinish::new(&finish, outputs, of.largest_sum);
        if lowering.is_none() {
            sums.resize(MOST_ROWS * outputs, 0);
        }
        let mut all_corners = of.corners(rows.start);
        let (mut clamped, mut clamped_lanes) = (0, [0; BLOCK]);
        for piece in 0..count.div_ceil(L::ROWS) {
            let (first, height) = tile::piece(count, L::ROWS, piece);
            let mut corners = [0; MOST_ROWS];
            for (corner, at) in corners.iter_mut().take(height).zip(&mut all_corners) {
                *corner = at;
            }
            let mantissas = &mut out.mantissas[first * outputs..][..height * outputs];
            let exponents = &mut out.exponents[first * parts..][..height * parts];
            let panels = of.panels.chunks(2 * pairs).zip(of.shifts.chunks(2));
            for (index, (panel, shifts)) in panels.enumerate() {
                let tile = WindowTile {
                    runs: &of.runs,
                    panel,
                    padded,
                    corners: &corners,
                    shifts,
                };
                let mut to = match &lowering {
                    Some(lowering) => Target::Rows(lowering, mantissas, &mut clamped_lanes),
                    None => Target::Sums(sums),
                };
                let place = Place {
                    outputs,
                    block: 2 * index,
                };
                if let [_, _] = shifts {
                    with_height!(height, two_blocks::<L>(lanes, &tile, place, &mut to));
                } else {
                    with_height!(height, one_block::<L>(lanes, &tile, place, &mut to));
                }
            }
            if let Some(lowering) = &lowering {
                exponents.fill(lowering.exponent());
            } else {
                let out = RowMut {
                    mantissas,
                    exponents,
                };
                clamped += finish.rows(lanes, &mut sums[..height * outputs], outputs, out);
            }
        }
        clamped + clamped_lanes.iter().sum::<u64>()
    }
}

/// Where dot products of a tile go.
enum Target<'a> {
    /// They are finished at once and become mantissas of rows.
    Rows(&'a LoweringFinish, &'a mut [i16], &'a mut [u64; BLOCK]),
    /// They are written down, since finishing needs whole rows.
    Sums(&'a mut [i64]),
}

/// Which of a row's outputs.
#[derive(Clone, Copy)]
struct Place {
    outputs: usize,
    block: usize,
}

/// Windows of one tile of rows, and the weights of one or two blocks.
struct WindowTile<'a> {
    runs: &'a [Run],
    panel: &'a [Pairs],
    padded: &'a [i16],
    corners: &'a [usize; MOST_ROWS],
    shifts: &'a [[u8; BLOCK]],
}

#[inline(always)]
fn two_blocks<L: Lanes, const R: usize>(
    lanes: L,
    tile: &WindowTile<'_>,
    place: Place,
    to: &mut Target<'_>,
) {
    tile.write::<L, R, 2>(lanes, place, to);
}

#[inline(always)]
fn one_block<L: Lanes, const R: usize>(
    lanes: L,
    tile: &WindowTile<'_>,
    place: Place,
    to: &mut Target<'_>,
) {
    tile.write::<L, R, 1>(lanes, place, to);
}

impl WindowTile<'_> {
    /// Writes the dot products of `R` windows with `B` blocks.
    #[inline(always)]
    fn write<L: Lanes, const R: usize, const B: usize>(
        &self,
        lanes: L,
        place: Place,
        to: &mut Target<'_>,
    ) {
        let [low, high] = self.dots::<L, R, B>(lanes);
        let spills = self.runs.iter().any(|run| run.spills);
        let shifted = self.shifts.as_flattened().iter().any(|shift| *shift > 0);
        let mut clamped = [0; BLOCK];
        for r in 0..R {
            for (b, shifts) in self.shifts.iter().enumerate().take(B) {
                let mut half = [0; BLOCK];
                lanes.store_lanes(low[r][b], &mut half);
                let mut sums = half.map(i64::from);
                if spills {
                    lanes.store_lanes(high[r][b], &mut half);
                    for (sum, high) in sums.iter_mut().zip(half) {
                        *sum += i64::from(high) << 16;
                    }
                }
                if shifted {
                    for (sum, shift) in sums.iter_mut().zip(shifts) {
                        *sum <<= shift & 63;
                    }
                }
                let block = place.block + b;
                let start = r * place.outputs + block * BLOCK;
                let columns = start..(start + BLOCK).min((r + 1) * place.outputs);
                match to {
                    Target::Rows(finish, out, _) => {
                        let out = out.get_mut(columns).unwrap_or(&mut []);
                        finish.block(block, &sums, out, &mut clamped);
                    }
                    Target::Sums(out) => {
                        let out = out.get_mut(columns).unwrap_or(&mut []);
                        out.copy_from_slice(&sums[..out.len()]);
                    }
                }
            }
        }
        if let Target::Rows(_, _, all) = to {
            for (all, clamped) in all.iter_mut().zip(clamped) {
                *all += clamped;
            }
        }
    }

    /// The dot products in 32 bits, and what exceeds 16 bits of earlier ones.
    #[inline(always)]
    fn dots<L: Lanes, const R: usize, const B: usize>(&self, lanes: L) -> [Sums<L, R, B>; 2] {
        let mut acc = tile::zero::<L, R, B>(lanes);
        let mut high = acc;
        let (low_half, high_half) = (lanes.splat(pair(-1, 0)), lanes.splat(pair(0, 1)));
        let mut panel = self.panel;
        for run in self.runs {
            let (vectors, rest) = panel.split_at(run.pairs * B);
            panel = rest;
            let rows: [&[[i16; 2]]; R] = core::array::from_fn(|r| {
                let start = self.corners[r] + run.start;
                let elements = self.padded.get(start..start + 2 * run.pairs);
                elements.unwrap_or(&[]).as_chunks().0
            });
            acc = stretch::<L, R, B>(lanes, acc, vectors.as_chunks().0, rows);
            if run.spills {
                let each = acc.as_flattened_mut().iter_mut();
                for (acc, high) in each.zip(high.as_flattened_mut()) {
                    *high = lanes.dot(*high, *acc, high_half);
                    *acc = lanes.and(*acc, low_half);
                }
            }
        }
        [acc, high]
    }
}

/// Adds the products of one run.
#[inline(always)]
fn stretch<L: Lanes, const R: usize, const B: usize>(
    lanes: L,
    mut sums: Sums<L, R, B>,
    vectors: &[[Pairs; B]],
    rows: [&[[i16; 2]]; R],
) -> Sums<L, R, B> {
    // Known here, lengths need no check in the loop.
    if rows.iter().any(|row| row.len() != vectors.len()) {
        return sums;
    }
    for (index, vectors) in vectors.iter().enumerate() {
        let vectors: [L::V; B] = core::array::from_fn(|b| lanes.load(&vectors[b].0));
        for r in 0..R {
            let [first, second] = rows[r][index];
            let both = lanes.splat(pair(first, second));
            for b in 0..B {
                sums[r][b] = lanes.dot(sums[r][b], vectors[b], both);
            }
        }
    }
    sums
}
