//! Sums of values, weighted.

use super::{AttentionScratch, POSITIONS, Plan};
use crate::{lanes::Lanes, tile};
use core::ops::Range;

/// Sums weighted values of all blocks into 64 bits. Sums of 32 bits run over as many blocks as the weights allow: a row's
/// is at most its sum of weights times the largest value.
#[inline(always)]
pub(super) fn sum<'c, L: Lanes, const R: usize>(
    lanes: L,
    plan: &Plan<'_>,
    blocks: Range<usize>,
    block: &impl Fn(usize) -> &'c [i16],
    scratch: &mut AttentionScratch,
) {
    scratch.sums.clear();
    scratch.sums.resize(R * plan.value_vectors(), [0; 16]);
    let most = (u64::from(u32::MAX) / 2).checked_div(plan.largest_value);
    let most = most.unwrap_or(u64::MAX);
    let mut start = 0;
    while start < blocks.len() {
        let mut run = [0_u64; R];
        let mut end = start;
        while end < blocks.len() {
            let sums = &scratch.block_sums[end * R..][..R];
            for (run, sum) in run.iter_mut().zip(sums) {
                *run += u64::from(*sum);
            }
            if run.iter().any(|run| *run > most) {
                break;
            }
            end += 1;
        }
        // A block that is too heavy by itself is summed pair by pair: two products of 15 and 16 bits fit.
        let pairs = if end == start { 1 } else { POSITIONS / 2 };
        end = end.max(start + 1);
        let run = blocks.start + start..blocks.start + end;
        segment::<L, R>(lanes, plan, run, start, block, pairs, scratch);
        start = end;
    }
}

/// Sums `blocks`, the first of which has its weights at `index`; 64-bit sums are added to at the end, or after every
/// `pairs` pairs of positions if these are fewer than a block's.
#[inline(always)]
fn segment<'c, L: Lanes, const R: usize>(
    lanes: L,
    plan: &Plan<'_>,
    blocks: Range<usize>,
    index: usize,
    block: &impl Fn(usize) -> &'c [i16],
    pairs: usize,
    scratch: &mut AttentionScratch,
) {
    let vectors = plan.value_vectors();
    for first in (0..vectors).step_by(2) {
        let mut sums = tile::zero::<L, R, 2>(lanes);
        let weights = scratch.weights[index * R..].as_chunks::<R>().0;
        for (b, weights) in blocks.clone().zip(weights) {
            let values = block(b).get(plan.keys_len()..).unwrap_or(&[]);
            let values = values.as_chunks::<32>().0;
            for pair in (0..POSITIONS / 2).step_by(pairs) {
                let panel = values.get(pair * vectors + first..).unwrap_or(&[]);
                let pairs_now = pair..pair + pairs;
                if first + 1 < vectors {
                    sums = tile::accumulate_rows(lanes, sums, panel, vectors, weights, pairs_now);
                } else {
                    let single = sums.map(|[sum, _]| [sum]);
                    let single =
                        tile::accumulate_rows(lanes, single, panel, vectors, weights, pairs_now);
                    sums = single.map(|[sum]| [sum, lanes.zero()]);
                }
                if pairs < POSITIONS / 2 {
                    spill::<L, R>(lanes, sums, vectors, first, &mut scratch.sums);
                    sums = tile::zero(lanes);
                }
            }
        }
        spill::<L, R>(lanes, sums, vectors, first, &mut scratch.sums);
    }
}

#[inline(always)]
fn spill<L: Lanes, const R: usize>(
    lanes: L,
    sums: tile::Sums<L, R, 2>,
    vectors: usize,
    first: usize,
    to: &mut [[i64; 16]],
) {
    for (sums, to) in sums.into_iter().zip(to.chunks_exact_mut(vectors)) {
        for (sum, to) in sums.into_iter().zip(&mut to[first..]) {
            lanes.spill(sum, to);
        }
    }
}
