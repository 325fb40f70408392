//! Attention: scores, weights, and a weighted mean that is divided once.

use super::{Interpreter, Row, elements};
use crate::{
    numbers::{divide, rescale},
    operation::{Attention, Step},
    value::moved,
};

/// Places by which a mean is finer than the values it is of.
pub(super) const MEAN_PLACES: u32 = 12;

impl Interpreter<'_> {
    /// The result at `position`; `steps` are queries, keys and values.
    pub(super) fn attend(
        &self,
        position: usize,
        row: usize,
        steps: [Step; 3],
        attention: &Attention,
    ) -> Row<'_> {
        let [queries, keys, values] = steps;
        let (heads, kv_heads) = (attention.heads as usize, attention.kv_heads as usize);
        let visible = self.visible(position, attention);
        let query = self.operand(queries, position);
        let key_width = query.of.width as usize / heads;
        let value_type = &self.definition(values).output;
        let value_width = value_type.width as usize / kv_heads;
        let weights: Vec<Vec<i64>> = (0..heads)
            .map(|head| {
                let kv_head = head * kv_heads / heads;
                let query = &query.row(row)[head * key_width..][..key_width];
                let scores = visible.clone().map(|seen| {
                    let key =
                        &self.operand(keys, seen).row(row)[kv_head * key_width..][..key_width];
                    query
                        .iter()
                        .zip(key)
                        .map(|(q, k)| i64::from(*q) * i64::from(*k))
                        .sum::<i64>()
                });
                self.weights_of(head, scores.collect(), attention)
            })
            .collect();
        let exponents = (0..heads).map(|head| {
            let of_values = self
                .operand(values, position)
                .exponent(row, head * kv_heads / heads * value_width);
            moved(of_values, -(MEAN_PLACES as i32))
        });
        let exponents = exponents.collect();
        let element = move |column: usize| {
            let (head, place) = (column / value_width, column % value_width);
            let place = head * kv_heads / heads * value_width + place;
            let terms = visible.clone().zip(&weights[head]);
            let sum: i64 = terms
                .map(|(seen, w)| w * i64::from(self.operand(values, seen).row(row)[place]))
                .sum();
            divide(sum << MEAN_PLACES, weights[head].iter().sum())
        };
        Row {
            exponents,
            width: heads * value_width,
            element: Box::new(element),
        }
    }

    /// The positions that `position` sees.
    fn visible(&self, position: usize, attention: &Attention) -> std::ops::Range<usize> {
        let window = attention
            .window
            .map_or(usize::MAX, |window| window as usize);
        let end = if self.program.causal {
            position + 1
        } else {
            self.inputs.len().min(position.saturating_add(window))
        };
        (position + 1).saturating_sub(window)..end
    }

    /// The weight of each visible position for one head.
    fn weights_of(&self, head: usize, mut scores: Vec<i64>, attention: &Attention) -> Vec<i64> {
        if let Some(cap) = &attention.cap {
            let table = &self.program.tables[cap.table as usize];
            let (half, scale) = (1_i64 << (table.bits - 1), cap.scales[head]);
            for score in &mut scores {
                let point =
                    rescale(*score, scale.multiplier, scale.places).clamp(1 - half, half - 1);
                *score = i64::from(table.entries.mantissas[(point + half) as usize]);
            }
        }
        let greatest = scores.iter().copied().max().unwrap_or(0);
        let table = &self.program.vectors[attention.weights as usize];
        let scale = attention.scales[head];
        scores
            .iter()
            .map(|score| elements::weight(greatest - score, scale, table))
            .collect()
    }
}
