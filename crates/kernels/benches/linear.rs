//! How fast matrices are multiplied and positions attended to: weights read in decode, multiplications in prefill.
//!
//! `cargo bench -p og-kernels`; "GiB/s" are of the matrix's bytes, "Gelem/s" are multiply-adds. With two threads each takes
//! half of the blocks.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use og_kernels::{
    Activations, Columns, Kernels, Prepared,
    attention::{AttentionScratch, POSITIONS, Plan, Query, attend},
    linear,
};
use og_program::{
    matrix::{Encoding, Matrix, Weights},
    operation::{Attention, Scale, Vector},
    value::{Form, Type},
};
use std::hint::black_box;

/// A matrix with multipliers of 8 bits, as those of 8-bit files become.
fn matrix(encoding: Encoding, outputs: u32, inputs: u32) -> (Matrix, Vec<u8>) {
    let matrix = Matrix {
        outputs,
        inputs,
        encoding,
        exponent: 0,
        largest_shift: 0,
        largest_row_sum: 0,
        hash: [0; 32],
    };
    let layout = matrix.layout().expect("a small matrix");
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    let mut bytes = vec![0; layout.bytes];
    let (start, length) = layout.multipliers;
    bytes[start..start + length].fill_with(|| 80 + next() % 160);
    let (start, length) = layout.quants;
    // Three random bytes summed: a bell, like weights.
    let mut bell =
        || ((u32::from(next()) + u32::from(next()) + u32::from(next())) / 3) as u8 ^ 0x80;
    bytes[start..start + length].fill_with(&mut bell);
    (matrix, bytes)
}

/// Rows of 14 bits, the largest of each near the edge.
fn rows(count: usize, width: usize) -> Vec<i16> {
    let value = |i: usize| {
        let x = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bell = (x >> 52) + (x >> 40 & 0xfff) + (x >> 28 & 0xfff) + (x >> 16 & 0xfff);
        (bell as i16 - 8190) / 2
    };
    (0..count * width).map(value).collect()
}

const SHAPES: [(u32, u32); 3] = [(2048, 2048), (5632, 2048), (2048, 5632)];

fn multiply(
    weights: &[Weights<'_>],
    prepared: &[Prepared],
    activations: &Activations,
    kernels: Kernels,
    threads: usize,
    out: &mut [i64],
) {
    let blocks = weights[0].matrix.blocks();
    let columns = Columns::new(out, weights[0].matrix.outputs as usize);
    let one = |range: std::ops::Range<usize>, mut out: Columns<'_>| {
        for (weights, prepared) in weights.iter().zip(prepared) {
            linear(
                kernels,
                weights,
                prepared,
                activations,
                range.clone(),
                out.reborrow(),
            )
            .expect("shapes fit");
        }
    };
    if threads == 1 {
        one(0..blocks, columns);
    } else {
        let (left, right) = columns.split_at(blocks / 2 * 16);
        std::thread::scope(|scope| {
            scope.spawn(|| one(0..blocks / 2, left));
            one(blocks / 2..blocks, right);
        });
    }
}

/// Reads more weights than the caches hold, so that memory is the limit: as many matrices as make 256 MB.
fn decode(criterion: &mut Criterion) {
    let kernels = Kernels::best();
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10);
    for encoding in [Encoding::Int8, Encoding::Int4, Encoding::Int6] {
        for (outputs, inputs) in SHAPES {
            let (matrix, bytes) = matrix(encoding, outputs, inputs);
            let count = (256 << 20) / bytes.len();
            let copies: Vec<Vec<u8>> = (0..count).map(|_| bytes.clone()).collect();
            let weights = copies.iter().map(|bytes| Weights::new(&matrix, bytes));
            let weights: Vec<Weights<'_>> = weights.map(|w| w.expect("a matrix")).collect();
            let prepared = Prepared::new(kernels, &weights[0]).expect("a matrix");
            let prepared = vec![prepared; count];
            let total = (bytes.len() * count) as u64;
            for (batch, threads) in [(1, 1), (1, 2), (4, 1), (8, 1), (8, 2), (16, 1)] {
                if encoding != Encoding::Int8 && (batch > 1 || outputs != inputs) {
                    continue;
                }
                let mut activations = Activations::new();
                let values = rows(batch, inputs as usize);
                activations
                    .fill(kernels, &values, inputs as usize)
                    .expect("whole rows");
                let mut out = vec![0; batch * outputs as usize];
                group.throughput(Throughput::BytesDecimal(total));
                let name = format!("{encoding:?} {outputs}x{inputs} {batch} rows");
                group.bench_function(BenchmarkId::new(name, format!("{threads} threads")), |b| {
                    b.iter(|| {
                        multiply(
                            &weights,
                            &prepared,
                            &activations,
                            kernels,
                            threads,
                            &mut out,
                        );
                        black_box(&mut out);
                    });
                });
            }
        }
    }
}

/// 512 rows: as many multiply-adds as the processor can do.
fn prefill(criterion: &mut Criterion) {
    let kernels = Kernels::best();
    let mut group = criterion.benchmark_group("prefill");
    group.sample_size(10);
    for encoding in [Encoding::Int8, Encoding::Int4, Encoding::Int6] {
        for (outputs, inputs) in SHAPES {
            if encoding != Encoding::Int8 && outputs != inputs {
                continue;
            }
            let (matrix, bytes) = matrix(encoding, outputs, inputs);
            let weights = [Weights::new(&matrix, &bytes).expect("a matrix")];
            let prepared = [Prepared::new(kernels, &weights[0]).expect("a matrix")];
            for (batch, threads) in [(32, 1), (128, 1), (512, 1), (512, 2)] {
                let mut activations = Activations::new();
                let values = rows(batch, inputs as usize);
                activations
                    .fill(kernels, &values, inputs as usize)
                    .expect("whole rows");
                let mut out = vec![0; batch * outputs as usize];
                let products = batch as u64 * u64::from(outputs) * u64::from(inputs);
                group.throughput(Throughput::Elements(products));
                let name = format!("{encoding:?} {outputs}x{inputs} {batch} rows");
                group.bench_function(BenchmarkId::new(name, format!("{threads} threads")), |b| {
                    b.iter(|| {
                        multiply(
                            &weights,
                            &prepared,
                            &activations,
                            kernels,
                            threads,
                            &mut out,
                        );
                        black_box(&mut out);
                    });
                });
            }
        }
    }
}

/// Heads, heads of keys, and their width; positions in the cache.
const HEADS: (u32, u32, u32, usize) = (32, 4, 64, 1024);

fn fixed(heads: u32) -> Type {
    let form = Form::Fixed {
        bits: 12,
        exponents: vec![0; heads as usize],
    };
    let width = heads * HEADS.2;
    Type {
        rows: 1,
        width,
        form,
    }
}

/// One position that sees 1,024 (decode), and 512 that see 768 on average (prefill): products with keys and values.
fn attention(criterion: &mut Criterion) {
    let kernels = Kernels::best();
    let (heads, kv_heads, width, positions) = HEADS;
    let scale = Scale {
        multiplier: 40_000,
        places: 26,
    };
    let attention = Attention {
        heads,
        kv_heads,
        window: None,
        scales: vec![scale; heads as usize],
        weights: 0,
        cap: None,
    };
    let weights = Vector {
        mantissas: (0..4096).map(|i: i16| i16::MAX - i * 8 + i / 8).collect(),
        exponent: -15,
    };
    let types = [fixed(heads), fixed(kv_heads), fixed(kv_heads)];
    let plan = Plan::new(&attention, types.each_ref(), &weights, None);
    let blocks = positions / POSITIONS;
    let small = |count: usize| -> Vec<i16> { rows(count, 1).iter().map(|m| m / 4).collect() };
    let cache = small(plan.block_len() * blocks * kv_heads as usize);
    let block = |head: usize, index: usize| {
        &cache[(head * blocks + index) * plan.block_len()..][..plan.block_len()]
    };
    let (columns, mut scratch) = ((heads * width) as usize, AttentionScratch::default());
    let mut group = criterion.benchmark_group("attention");
    group.sample_size(10);
    for count in [1, 512] {
        let mantissas = small(count * columns);
        let queries: Vec<Query<'_>> = (0..count)
            .map(|i| Query {
                mantissas: &mantissas[i * columns..][..columns],
                visible: 0..positions - count + i + 1,
            })
            .collect();
        let seen: usize = queries.iter().map(|query| query.visible.len()).sum();
        let mut out = vec![0; count * columns];
        group.throughput(Throughput::Elements((seen * columns * 2) as u64));
        group.bench_function(BenchmarkId::new("queries", count), |b| {
            b.iter(|| {
                let out = Columns::new(&mut out, columns);
                attend(
                    kernels,
                    &plan,
                    0..heads as usize,
                    &queries,
                    block,
                    &mut scratch,
                    out,
                );
            });
        });
    }
}

criterion_group!(benches, decode, prefill, attention);
criterion_main!(benches);
