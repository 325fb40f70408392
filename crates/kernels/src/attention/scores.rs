//! Scores, and from them weights.

use super::{AttentionScratch, POSITIONS, Place, Plan, Query};
use crate::{
    lanes::{Lanes, pair},
    table, tile,
};
use core::ops::Range;
use og_program::{numbers::rescale, operation::Scale};

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
    scratch.weights.resize(blocks.len() * R, [0; POSITIONS / 2]);
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
        units(plan.scale(places[r].head), greatest, scores);
        let weights = scratch.weights.iter_mut().skip(r).step_by(R);
        let sums = scratch.block_sums.iter_mut().skip(r).step_by(R);
        let units = scores.as_chunks::<POSITIONS>().0;
        for (b, ((units, weights), sum)) in units.iter().zip(weights).zip(sums).enumerate() {
            let first = b * POSITIONS;
            let start = seen.start.saturating_sub(first).min(POSITIONS);
            let end = seen.end.saturating_sub(first).min(POSITIONS);
            *sum = weights_of(plan.weights, units, start..end, weights);
            totals[r] += u64::from(*sum);
        }
    }
    totals
}

/// Replaces each score by how many entries of the table it is below the greatest.
#[inline(always)]
fn units(scale: Scale, greatest: i32, scores: &mut [i32]) {
    let half = (1_u64 << scale.places) >> 1;
    for score in scores {
        // Not negative where it counts, and below 2^32.
        let below = greatest.wrapping_sub(*score) as u32;
        let product = u64::from(below) * u64::from(scale.multiplier);
        *score = ((product + half) >> scale.places).min(u64::from(u32::MAX)) as u32 as i32;
    }
}

/// Writes the weights of a block's positions in pairs, 0 but for those `inside`, and gives their sum.
#[inline(always)]
fn weights_of(
    table: &[i16],
    units: &[i32; POSITIONS],
    inside: Range<usize>,
    out: &mut [i32; POSITIONS / 2],
) -> u32 {
    let mut sum = 0;
    let units = units.as_chunks::<2>().0;
    if inside == (0..POSITIONS) {
        for (out, two) in out.iter_mut().zip(units) {
            let [a, b] = two.map(|unit| table::entry(table, unit as u32));
            sum += u32::from(a as u16) + u32::from(b as u16);
            *out = pair(a, b);
        }
        return sum;
    }
    for (place, (out, two)) in out.iter_mut().zip(units).enumerate() {
        let weight = |i: usize| match inside.contains(&(2 * place + i)) {
            true => table::entry(table, two[i] as u32),
            false => 0,
        };
        let (a, b) = (weight(0), weight(1));
        sum += u32::from(a as u16) + u32::from(b as u16);
        *out = pair(a, b);
    }
    sum
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
