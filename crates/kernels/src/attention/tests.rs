//! Attention equals the definition on every path.

use super::{AttentionScratch, POSITIONS, Plan, Query, attend};
use crate::{
    Columns, RowMut,
    finish::finish_values,
    testing::{Judge, Random, all},
};
use og_program::{
    operation::{Attention, Cap, Operation, Scale, Table, Vector},
    value::{Form, Type, Value},
};
use proptest::prelude::*;

/// Shapes and widths of one case.
#[derive(Clone, Debug)]
struct Shape {
    seed: u64,
    kv_heads: u32,
    group: u32,
    key_width: u32,
    value_width: u32,
    bits: [u8; 3],
    positions: usize,
    window: Option<u32>,
    capped: bool,
}

struct Case {
    attention: Attention,
    weights: Vector,
    table: Table,
    types: [Type; 3],
    /// Queries, keys and values of each position.
    values: Vec<[Value; 3]>,
    output: Type,
}

fn case(shape: &Shape) -> Case {
    let random = &mut Random(shape.seed);
    let heads = shape.kv_heads * shape.group;
    let mut scales = |most: u64| -> Vec<Scale> {
        let one = |_| Scale {
            multiplier: random.between(1, 65_536) as u32,
            places: random.below(most) as u32,
        };
        (0..heads).map(one).collect()
    };
    let (scales, cap_scales) = (scales(40), scales(30));
    let mut weights = random.vector(1 + random.0 as usize % 900, 16);
    weights
        .mantissas
        .iter_mut()
        .for_each(|w| *w = w.saturating_abs());
    let table = random.table();
    let mut fixed = |width: u32, heads: u32, bits: u8| Type {
        rows: 1,
        width: width * heads,
        form: Form::Fixed {
            bits,
            exponents: (0..heads).map(|_| random.between(-12, 3) as i32).collect(),
        },
    };
    let types = [
        fixed(shape.key_width, heads, shape.bits[0]),
        fixed(shape.key_width, shape.kv_heads, shape.bits[1]),
        fixed(shape.value_width, shape.kv_heads, shape.bits[2]),
    ];
    let values = (0..shape.positions).map(|_| types.each_ref().map(|of| random.value(of)));
    let values = values.collect();
    Case {
        attention: Attention {
            heads,
            kv_heads: shape.kv_heads,
            window: shape.window,
            scales,
            weights: 0,
            cap: shape.capped.then_some(Cap {
                scales: cap_scales,
                table: 0,
            }),
        },
        weights,
        table,
        output: Type {
            rows: 1,
            width: shape.value_width * heads,
            form: random.form(if shape.positions.is_multiple_of(2) {
                1
            } else {
                heads
            }),
        },
        types,
        values,
    }
}

/// Queries of the positions from `first` on are asked at once, in two parts of heads as two threads would.
fn check(shape: &Shape, first: usize) {
    let case = case(shape);
    let [queries, keys, values] = &case.types;
    let judge = Judge {
        operation: Operation::Attend {
            queries: 0,
            keys: 1,
            values: 2,
            attention: case.attention.clone(),
        },
        output: case.output.clone(),
        vectors: vec![case.weights.clone()],
        tables: vec![case.table.clone()],
        weights: vec![],
        types: case.types.to_vec(),
    };
    let positions: Vec<Vec<Value>> = case.values.iter().map(|v| v.to_vec()).collect();
    let cap = case.attention.cap.as_ref().map(|_| &case.table);
    let plan = Plan::new(&case.attention, [queries, keys, values], &case.weights, cap);
    // Places that nothing is appended to hold anything.
    let blocks = case.values.len().div_ceil(POSITIONS);
    let kv_heads = shape.kv_heads as usize;
    let mut cache = vec![vec![-21_846_i16; plan.block_len()]; blocks * kv_heads];
    for (position, [_, key, value]) in case.values.iter().enumerate() {
        let keys = key.mantissas().chunks(shape.key_width as usize);
        let heads = keys.zip(value.mantissas().chunks(shape.value_width as usize));
        for (head, (key, value)) in heads.enumerate() {
            let block = &mut cache[head * blocks + position / POSITIONS];
            plan.append(block, position % POSITIONS, key, value);
        }
    }
    let asked: Vec<Query<'_>> = (first..case.values.len())
        .map(|position| Query {
            mantissas: case.values[position][0].mantissas(),
            visible: plan.visible(position, true, case.values.len()),
        })
        .collect();
    let (heads, width) = (case.attention.heads as usize, case.output.width as usize);
    for kernels in all() {
        let mut wide = vec![0; asked.len() * width];
        let mut scratch = AttentionScratch::default();
        let middle = heads / 2;
        let columns = Columns::new(&mut wide, width);
        let (left, right) = columns.split_at(middle * shape.value_width as usize);
        for (heads, out) in [(0..middle, left), (middle..heads, right)] {
            let block = |head: usize, index: usize| cache[head * blocks + index].as_slice();
            attend(kernels, &plan, heads, &asked, block, &mut scratch, out);
        }
        let Form::Fixed { exponents, .. } = &values.form else {
            unreachable!()
        };
        let exponents = plan.exponents(exponents);
        for (index, wide) in wide.chunks_mut(width).enumerate() {
            let (expected, clamped) = judge.result(&positions[..first + index + 1]);
            let mut got = (vec![0; width], vec![0; case.output.parts()]);
            let out = RowMut {
                mantissas: &mut got.0,
                exponents: &mut got.1,
            };
            let found = finish_values(kernels, wide, &exponents, &case.output.form, out);
            assert_eq!(
                got.0,
                expected.mantissas(),
                "{:?} {shape:?}",
                kernels.path()
            );
            assert_eq!((got.1.as_slice(), found), (expected.exponents(), clamped));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn attention_equals_the_definition(
        seed: u64, kv_heads in 1..3_u32, group in 1..5_u32, key_width in 1..40_u32, value_width in 1..40_u32,
        bits in [8..=12_u8, 8..=12_u8, 8..=16_u8], positions in 1..75_usize,
        window in proptest::option::of(1..50_u32), capped: bool, asked in 1..6_usize,
    ) {
        let shape = Shape { seed, kv_heads, group, key_width, value_width, bits, positions, window, capped };
        check(&shape, positions.saturating_sub(asked));
    }
}

#[test]
fn wide_scores_and_heavy_weights_are_exact() {
    for seed in 0..24 {
        let shape = Shape {
            seed,
            kv_heads: 1,
            group: 3,
            key_width: 18,
            value_width: 17,
            bits: if seed % 2 == 0 { [16; 3] } else { [12, 12, 16] },
            positions: 70,
            window: None,
            capped: seed % 3 == 0,
        };
        check(&shape, 68);
    }
}

#[test]
fn who_sees_nothing_gets_zeros() {
    let shape = Shape {
        seed: 1,
        kv_heads: 1,
        group: 2,
        key_width: 4,
        value_width: 4,
        bits: [12; 3],
        positions: 1,
        window: None,
        capped: false,
    };
    let case = case(&shape);
    let plan = Plan::new(&case.attention, case.types.each_ref(), &case.weights, None);
    let query = Query {
        mantissas: case.values[0][0].mantissas(),
        visible: 0..0,
    };
    for kernels in all() {
        let mut out = vec![9; 8];
        let columns = Columns::new(&mut out, 8);
        let mut scratch = AttentionScratch::default();
        let block = |_: usize, _: usize| -> &'static [i16] { &[] };
        attend(
            kernels,
            &plan,
            0..2,
            core::slice::from_ref(&query),
            block,
            &mut scratch,
            columns,
        );
        assert_eq!(out, [0; 8]);
    }
}
