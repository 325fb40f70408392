//! Attention whose scores do not fit 32 bits: one at a time, for programs with wide heads of wide mantissas.

use super::{POSITIONS, Plan, Query, finish, scores::capped};
use crate::columns::Columns;
use core::ops::Range;
use og_program::numbers::rescale;

/// As [`super::attend`], for query heads of one key head.
pub(super) fn attend<'c>(
    plan: &Plan<'_>,
    heads: Range<usize>,
    first: usize,
    queries: &[Query<'_>],
    block: impl Fn(usize) -> &'c [i16],
    out: &mut Columns<'_>,
) {
    for (index, query) in queries.iter().enumerate() {
        for head in heads.clone() {
            let columns = (head - first) * plan.value_width..(head - first + 1) * plan.value_width;
            if let Some(out) = out.row(index).get_mut(columns) {
                attend_head(plan, head, query, &block, out);
            }
        }
    }
}

fn attend_head<'c>(
    plan: &Plan<'_>,
    head: usize,
    query: &Query<'_>,
    block: &impl Fn(usize) -> &'c [i16],
    out: &mut [i64],
) {
    let x = query.mantissas.chunks_exact(plan.key_width).nth(head);
    let score = |position: usize| {
        let (block, place) = (block(position / POSITIONS), position % POSITIONS);
        let keys = block.chunks_exact(2 * POSITIONS).take(plan.key_pairs());
        let key = keys.flat_map(|line| line.iter().skip(2 * place).take(2));
        let products = x.unwrap_or(&[]).iter().zip(key);
        let score = products.map(|(q, k)| i64::from(*q) * i64::from(*k)).sum();
        capped(plan, head, score)
    };
    let scores: Vec<i64> = query.visible.clone().map(score).collect();
    let greatest = scores.iter().copied().max().unwrap_or(0);
    let (scale, last) = (plan.scale(head), plan.weights.len().saturating_sub(1));
    let mut sums = vec![0; out.len()];
    let mut total = 0;
    for (score, position) in scores.into_iter().zip(query.visible.clone()) {
        let units = rescale(greatest - score, scale.multiplier, scale.places);
        let weight = plan.weights.get((units as usize).min(last)).copied();
        let weight = i64::from(weight.unwrap_or(0));
        total += weight as u64;
        let (block, place) = (block(position / POSITIONS), position % POSITIONS);
        let line = plan.value_vectors() * 32;
        let values = block.get(plan.keys_len()..).unwrap_or(&[]);
        let values = values.chunks_exact(line).nth(place / 2).unwrap_or(&[]);
        let values = values.iter().skip(place % 2).step_by(2);
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += weight * i64::from(*value);
        }
    }
    finish::mean(&sums, total, out);
}
