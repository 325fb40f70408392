//! What a token and a position cost beside the model itself: sampling, committing, and checking weights while loading.

#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use og_program::{
    file::{check_matrix, describe},
    matrix::{Encoding, Matrix},
    sample::{Context, ONE, Sampling, choose, log_probability},
    trace::{leaf, root},
    value::Value,
};
use std::hint::black_box;

/// Logits as a language model's: a bell, a few units of e wide, and some that stand out.
fn logits(tokens: usize) -> Vec<i16> {
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as i32 % 1_024
    };
    let bell = |noise: &mut dyn FnMut() -> i32| (0..6).map(|_| noise()).sum::<i32>() - 3_072;
    (0..tokens)
        .map(|token| (bell(&mut noise) + i32::from(token % 997 == 0) * 3_000) as i16)
        .collect()
}

fn sampling(criterion: &mut Criterion) {
    let context: Vec<u32> = (0..1_024).map(|token| token * 13).collect();
    let seen = Context {
        prompt: &context,
        answer: &[],
    };
    let greedy = Sampling::default();
    let warm = Sampling {
        temperature: ONE * 4 / 5,
        ..greedy
    };
    let common = Sampling {
        top_k: 40,
        top_p: ONE * 19 / 20,
        repetition_penalty: ONE * 11 / 10,
        ..warm
    };
    let top_p = Sampling {
        top_p: ONE * 19 / 20,
        ..warm
    };
    for tokens in [32_000, 151_936] {
        let logits = logits(tokens);
        let mut group = criterion.benchmark_group(format!("sample/{tokens}"));
        for (name, sampling) in [
            ("greedy", greedy),
            ("temperature", warm),
            ("top-p", top_p),
            ("top-k, top-p, penalty", common),
        ] {
            let mut position = 0;
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    position += 1;
                    choose(black_box(&logits), -9, seen, &sampling, position, None)
                });
            });
        }
        group.bench_function("log-probability", |bencher| {
            bencher.iter(|| log_probability(black_box(&logits), -9, 7));
        });
        group.finish();
    }
}

fn commitment(criterion: &mut Criterion) {
    // A layer of 1.1 billion weights commits to about 24,000 elements at a position.
    let value = |elements| Value::Rows {
        mantissas: logits(elements),
        exponents: vec![-7],
    };
    let values = [2048, 256, 256, 2048, 2048, 2048, 5632, 5632, 2048, 2048].map(value);
    let mut group = criterion.benchmark_group("trace");
    group.throughput(Throughput::Bytes(2 * 24_064));
    group.bench_function("a layer's leaves and tree", |bencher| {
        bencher.iter(|| {
            let leaves = values.iter().enumerate();
            let leaves = leaves.map(|(step, value)| leaf(step as u32, black_box(value)));
            root(&leaves.collect::<Vec<_>>())
        });
    });
    group.finish();
}

fn weights(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check weights");
    for encoding in [Encoding::Int8, Encoding::Int4, Encoding::Int6] {
        let shape = [2048, 5632];
        let empty = Matrix {
            outputs: shape[0],
            inputs: shape[1],
            encoding,
            exponent: 0,
            largest_shift: 0,
            largest_row_sum: 0,
            hash: [0; 32],
        };
        let length = empty.layout().map_or(0, |layout| layout.bytes);
        let bytes: Vec<u8> = (0..length).map(|byte| (byte * 7 % 251) as u8).collect();
        let Ok(matrix) = describe(shape, encoding, 0, &bytes) else {
            continue;
        };
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{encoding:?}"), |bencher| {
            bencher.iter(|| check_matrix(black_box(&matrix), black_box(&bytes)).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, sampling, commitment, weights);
criterion_main!(benches);
