//! Float arithmetic of the original model, on several threads: products, norms, attention.

use crate::{
    decoder::{DecoderConfig, Rotary},
    tensor::{Tensor, TensorError},
};
use half::f16;
use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use std::{ops::Range, sync::Mutex};

/// With what precision the original is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// 32-bit floats.
    Float,
    /// As llama.cpp runs Q8_0 files: weights and operands of products in groups of 32 with 8 bits, the cache in 16-bit
    /// floats. For comparison.
    Q8_0,
}

impl Arithmetic {
    /// Rounds a row of weights.
    pub(crate) fn weights(self, row: &mut [f32]) {
        if self == Self::Q8_0 {
            row.chunks_mut(32).for_each(round_to_8_bits);
        }
    }

    /// Rounds keys or values for the cache.
    pub(crate) fn cached(self, rows: &mut [f32]) {
        if self == Self::Q8_0 {
            for x in rows {
                *x = f16::from_f32(*x).to_f32();
            }
        }
    }
}

fn round_to_8_bits(group: &mut [f32]) {
    let greatest = group.iter().fold(0_f32, |most, x| most.max(x.abs()));
    let exact = greatest / 127.0;
    let inverse = if exact > 0.0 { 1.0 / exact } else { 0.0 };
    let scale = f16::from_f32(exact).to_f32();
    for x in group {
        *x = (*x * inverse).round() * scale;
    }
}

/// Rows of `x` times a matrix, whose rows are outputs.
pub(crate) fn multiply(
    x: &[f32],
    tensor: &Tensor<'_>,
    arithmetic: Arithmetic,
    threads: usize,
) -> Result<Vec<f32>, TensorError> {
    let (outputs, inputs) = (tensor.rows(), tensor.columns());
    let count = x.len() / inputs;
    let mut operand = x.to_vec();
    if arithmetic == Arithmetic::Q8_0 {
        operand
            .chunks_mut(inputs)
            .for_each(|row| arithmetic.weights(row));
    }
    let mut result = vec![0.0; count * outputs];
    let shared = Mutex::new(&mut result);
    // A part of the outputs at a time, so that a matrix of floats is never whole in memory.
    let part = (1_usize << 20).div_ceil(inputs).clamp(1, outputs);
    let next = Mutex::new((0..outputs).step_by(part));
    let work = || -> Result<(), TensorError> {
        let take = || next.lock().map_or(None, |mut next| next.next());
        while let Some(first) = take() {
            let rows = part.min(outputs - first);
            let mut weights = vec![0.0; rows * inputs];
            for (row, out) in weights.chunks_mut(inputs).enumerate() {
                tensor.read_row(first + row, out)?;
                arithmetic.weights(out);
            }
            let mut products = vec![0.0; count * rows];
            matrix_product(&operand, &weights, &mut products, (count, inputs, rows));
            if let Ok(mut result) = shared.lock() {
                for (to, from) in result.chunks_mut(outputs).zip(products.chunks(rows)) {
                    to[first..first + rows].copy_from_slice(from);
                }
            }
        }
        Ok(())
    };
    on_threads(threads, work)?;
    Ok(result)
}

/// `out = x · weightsᵀ`; `x` is count by inputs, weights are outputs by inputs.
fn matrix_product(
    x: &[f32],
    weights: &[f32],
    out: &mut [f32],
    (count, inputs, outputs): (usize, usize, usize),
) {
    let views = (
        ArrayView2::from_shape((count, inputs), x),
        ArrayView2::from_shape((outputs, inputs), weights),
        ArrayViewMut2::from_shape((count, outputs), out),
    );
    if let (Ok(x), Ok(weights), Ok(mut out)) = views {
        general_mat_mul(1.0, &x, &weights.t(), 0.0, &mut out);
    }
}

/// Runs `work` on several threads; the first error wins.
fn on_threads<E: Send>(threads: usize, work: impl Fn() -> Result<(), E> + Sync) -> Result<(), E> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut result = work();
        for other in others {
            match other.join() {
                Ok(given) => result = result.and(given),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

/// Normalises each run of `gain.len()` elements by the root of its mean square.
pub(crate) fn root_mean_square(x: &mut [f32], gain: &[f32], epsilon: f64) {
    for row in x.chunks_mut(gain.len()) {
        let square: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
        let factor = (square / row.len() as f64 + epsilon).sqrt().recip() as f32;
        for (x, gain) in row.iter_mut().zip(gain) {
            *x *= factor * gain;
        }
    }
}

/// Centres and normalises each row.
pub(crate) fn layer_norm(x: &mut [f32], gain: &[f32], epsilon: f64) {
    for row in x.chunks_mut(gain.len()) {
        let mean = (row.iter().map(|x| f64::from(*x)).sum::<f64>() / row.len() as f64) as f32;
        for x in row.iter_mut() {
            *x -= mean;
        }
    }
    root_mean_square(x, gain, epsilon);
}

/// Adds a bias to each row.
pub(crate) fn add_bias(x: &mut [f32], bias: Option<&[f32]>) {
    let Some(bias) = bias else { return };
    for row in x.chunks_mut(bias.len()) {
        for (x, b) in row.iter_mut().zip(bias) {
            *x += b;
        }
    }
}

/// The two places of a pair within a head.
fn places(rotary: &Rotary, pair: usize) -> (usize, usize) {
    if rotary.halves {
        (pair, pair + rotary.frequencies.len())
    } else {
        (2 * pair, 2 * pair + 1)
    }
}

/// Turns the pairs of each head by the angle of their position in their text.
pub(crate) fn turn(x: &mut [f32], texts: &[Range<usize>], head: usize, rotary: &Rotary) {
    let count = texts.last().map_or(1, |text| text.end).max(1);
    let width = x.len() / count;
    for text in texts {
        for (position, row) in text.clone().enumerate() {
            let angles: Vec<(f32, f32)> = rotary
                .frequencies
                .iter()
                .map(|frequency| {
                    let (sin, cos) = (position as f64 * frequency).sin_cos();
                    ((sin * rotary.factor) as f32, (cos * rotary.factor) as f32)
                })
                .collect();
            for x in x[row * width..][..width].chunks_mut(head) {
                for (pair, (sin, cos)) in angles.iter().enumerate() {
                    let (a, b) = places(rotary, pair);
                    (x[a], x[b]) = (x[a] * cos - x[b] * sin, x[a] * sin + x[b] * cos);
                }
            }
        }
    }
}

/// The greatest magnitude of each head over all rows: of pairs where they are turned, else of elements.
pub(crate) fn ranges(x: &[f32], heads: usize, head: usize, rotary: Option<&Rotary>) -> Vec<f32> {
    let mut ranges = vec![0_f32; heads];
    for row in x.chunks(heads * head) {
        for (range, x) in ranges.iter_mut().zip(row.chunks(head)) {
            let turned = rotary.map_or(0, |rotary| rotary.frequencies.len());
            for pair in 0..turned {
                let Some(rotary) = rotary else { break };
                let (a, b) = places(rotary, pair);
                *range = range.max(x[a].hypot(x[b]) * rotary.factor as f32);
            }
            *range = x[2 * turned..]
                .iter()
                .fold(*range, |most, x| most.max(x.abs()));
        }
    }
    ranges
}

/// The root of the mean square of each channel over the first `count` rows.
pub(crate) fn channel_sizes(x: &[f32], width: usize, count: usize) -> Vec<f32> {
    let mut squares = vec![0_f64; width];
    for row in x.chunks(width).take(count) {
        for (square, x) in squares.iter_mut().zip(row) {
            *square += f64::from(*x).powi(2);
        }
    }
    let mean = |square: f64| (square / count.max(1) as f64).sqrt() as f32;
    squares.into_iter().map(mean).collect()
}

/// Attention of each position to those of its text that it sees: `[queries, keys, values]` to mixed values.
pub(crate) fn attend(
    [queries, keys, values]: [&[f32]; 3],
    texts: &[Range<usize>],
    config: &DecoderConfig,
    window: Option<u32>,
    threads: usize,
) -> Vec<f32> {
    let (heads, head) = (config.heads as usize, config.head_width as usize);
    let (width, kv_width) = (heads * head, config.kv_heads as usize * head);
    let mut mixed = vec![0.0; queries.len()];
    let rows = Mutex::new(mixed.chunks_mut(width).enumerate());
    let work = || -> Result<(), std::convert::Infallible> {
        let take = || rows.lock().map_or(None, |mut rows| rows.next());
        while let Some((row, out)) = take() {
            let start = texts
                .iter()
                .find(|text| text.contains(&row))
                .map_or(row, |text| text.start);
            let start = window.map_or(start, |window| {
                start.max((row + 1).saturating_sub(window as usize))
            });
            for (index, out) in out.chunks_mut(head).enumerate() {
                let kv = index * config.kv_heads as usize / heads * head;
                let query = &queries[row * width + index * head..][..head];
                let seen = |x| Seen {
                    x,
                    start,
                    end: row + 1,
                    width: kv_width,
                    place: kv,
                    head,
                };
                mix(query, seen(keys), seen(values), config, out);
            }
        }
        Ok(())
    };
    let Ok(()) = on_threads(threads, work);
    mixed
}

/// One head's keys or values of the positions that are seen.
#[derive(Clone, Copy)]
struct Seen<'x> {
    x: &'x [f32],
    start: usize,
    end: usize,
    width: usize,
    place: usize,
    head: usize,
}

impl<'x> Seen<'x> {
    fn rows(self) -> impl Iterator<Item = &'x [f32]> {
        (self.start..self.end).map(move |row| &self.x[row * self.width + self.place..][..self.head])
    }
}

fn mix(query: &[f32], keys: Seen<'_>, values: Seen<'_>, config: &DecoderConfig, out: &mut [f32]) {
    let scores = keys.rows().map(|key| {
        let score: f32 = query.iter().zip(key).map(|(q, k)| q * k).sum();
        let score = f64::from(score) * config.attention_scale;
        config
            .attention_cap
            .map_or(score, |cap| cap * (score / cap).tanh())
    });
    let scores: Vec<f64> = scores.collect();
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores
        .iter()
        .map(|score| (score - greatest).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    for (weight, value) in weights.iter().zip(values.rows()) {
        let weight = (weight / sum) as f32;
        for (x, v) in out.iter_mut().zip(value) {
            *x += weight * v;
        }
    }
}
