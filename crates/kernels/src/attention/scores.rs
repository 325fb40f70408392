//! Scores, and from them weights.

use super::{AttentionScratch, POSITIONS, Place, Plan, Query};
use crate::{
    lanes::{Lanes, pair},
    tile,
};
use core::ops::Range;
use og_program::numbers::rescale;

/// Writes, for each pair of a key's elements, that pair of each row's query.
#[inline(always)]
pub(super) fn interleave<const R: usize>(
    plan: &Plan<'_>,
    queries: &[Query<'_>],
    places: &[Place; R],
    out: &mut Vec<i32>,
) {
    out.clear();
    out.resize(plan.key_pairs() * R, 0);
    for (r, place) in places.iter().enumerate() {
        let query = queries[place.query].mantissas;
        let query = query.chunks_exact(plan.key_width).nth(place.head);
        let to = out.iter_mut().skip(r).step_by(R);
        for (to, two) in to.zip(query.unwrap_or(&[]).chunks(2)) {
            *to = pair(two[0], two.get(1).copied().unwrap_or(0));
        }
    }
}

/// Writes the score of each row for each position of `blocks`. Scores fit 32 bits.
#[inline(always)]
pub(super) fn compute<'c, L: Lanes, const R: usize>(
    lanes: L,
    plan: &Plan<'_>,
    blocks: Range<usize>,
    block: &impl Fn(usize) -> &'c [i16],
    scratch: &mut AttentionScratch,
) {
    let positions = blocks.len() * POSITIONS;
    scratch.scores.resize(R * positions, 0);
    for (index, b) in blocks.enumerate() {
        let keys = block(b).get(..plan.keys_len()).unwrap_or(&[]);
        let keys = keys.as_chunks::<32>().0;
        let sums = tile::accumulate::<L, R, 2>(lanes, tile::zero(lanes), keys, 2, &scratch.queries);
        for (r, sums) in sums.into_iter().enumerate() {
            let to = &mut scratch.scores[r * positions + index * POSITIONS..][..POSITIONS];
            for (to, sums) in to.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
                lanes.store_lanes(sums, to);
            }
        }
    }
}

/// Replaces scores by weights, 0 where a row does not see, and gives each row's sum of weights.
#[inline(always)]
pub(super) fn weigh<const R: usize>(
    plan: &Plan<'_>,
    places: &[Place; R],
    visible: &[Range<usize>; R],
    blocks: Range<usize>,
    scratch: &mut AttentionScratch,
) -> [u64; R] {
    let positions = blocks.len() * POSITIONS;
    scratch.weights.resize(blocks.len() * POSITIONS / 2 * R, 0);
    scratch.block_sums.resize(blocks.len() * R, 0);
    let mut totals = [0; R];
    for r in 0..R {
        let scores = &mut scratch.scores[r * positions..][..positions];
        let base = blocks.start * POSITIONS;
        let seen = visible[r].start.saturating_sub(base)..visible[r].end.saturating_sub(base);
        let seen = seen.start.min(positions)..seen.end.min(positions);
        if plan.cap.is_some() {
            cap(plan, places[r].head, &mut scores[seen.clone()]);
        }
        let greatest = scores[seen.clone()]
            .iter()
            .copied()
            .fold(i32::MIN, i32::max);
        let weights = scratch.weights.chunks_exact_mut(POSITIONS / 2 * R);
        let sums = scratch.block_sums.iter_mut().skip(r).step_by(R);
        let scores = scores.as_chunks::<POSITIONS>().0;
        for (b, ((scores, weights), sum)) in scores.iter().zip(weights).zip(sums).enumerate() {
            let first = b * POSITIONS;
            let inside = seen.start.saturating_sub(first).min(POSITIONS)
                ..seen.end.saturating_sub(first).min(POSITIONS);
            let found = weights_of(plan, places[r].head, scores, greatest, inside);
            *sum = found.iter().map(|w| u32::from(w.unsigned_abs())).sum();
            totals[r] += u64::from(*sum);
            let to = weights.iter_mut().skip(r).step_by(R);
            for (to, two) in to.zip(found.as_chunks::<2>().0) {
                *to = pair(two[0], two[1]);
            }
        }
    }
    totals
}

/// The weights of a block's positions for one row; 0 but for those `inside`.
#[inline(always)]
fn weights_of(
    plan: &Plan<'_>,
    head: usize,
    scores: &[i32; POSITIONS],
    greatest: i32,
    inside: Range<usize>,
) -> [i16; POSITIONS] {
    let scale = plan.scale(head);
    let last = plan.weights.len().saturating_sub(1) as u64;
    let half = (1_u64 << scale.places) >> 1;
    let mut units = [0_u32; POSITIONS];
    for (unit, score) in units.iter_mut().zip(scores) {
        // Not negative where it counts, and below 2^32.
        let below = greatest.wrapping_sub(*score) as u32;
        let product = u64::from(below) * u64::from(scale.multiplier);
        *unit = ((product + half) >> scale.places).min(last) as u32;
    }
    let mut weights = [0; POSITIONS];
    if inside == (0..POSITIONS) {
        for (weight, unit) in weights.iter_mut().zip(units) {
            *weight = plan.weights.get(unit as usize).copied().unwrap_or(0);
        }
    } else {
        let inside = inside.start..inside.end.max(inside.start);
        let all = weights[inside.clone()].iter_mut().zip(&units[inside]);
        for (weight, unit) in all {
            *weight = plan.weights.get(*unit as usize).copied().unwrap_or(0);
        }
    }
    weights
}

/// Replaces scores by capped ones.
fn cap(plan: &Plan<'_>, head: usize, scores: &mut [i32]) {
    for score in scores {
        *score = capped(plan, head, i64::from(*score)) as i32;
    }
}

/// One score, capped if the plan has a cap.
pub(super) fn capped(plan: &Plan<'_>, head: usize, score: i64) -> i64 {
    let scale = plan
        .attention
        .cap
        .as_ref()
        .and_then(|cap| cap.scales.get(head));
    let (Some(table), Some(scale)) = (plan.cap, scale) else {
        return score;
    };
    let half = 1_i64 << (table.bits - 1);
    let point = rescale(score, scale.multiplier, scale.places).clamp(1 - half, half - 1);
    let entry = table.entries.mantissas.get((point + half) as usize);
    entry.map_or(0, |entry| i64::from(*entry))
}
