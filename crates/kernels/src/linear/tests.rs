//! Products equal the definition on every path, for every encoding, number of rows and kind of weights.

use crate::{
    Activations, Columns, LinearError, Prepared, linear,
    linear::DIRECT_ROWS,
    testing::{Random, all},
};
use og_program::matrix::{Encoding, Weights};
use proptest::prelude::*;

const ENCODINGS: [Encoding; 3] = [Encoding::Int8, Encoding::Int4, Encoding::Int6];

/// The product of some blocks, in two parts as two threads would compute it.
fn product(
    kernels: crate::Kernels,
    weights: &Weights<'_>,
    rows: &[i16],
    blocks: core::ops::Range<usize>,
) -> Vec<i64> {
    let mut activations = Activations::new();
    activations
        .fill(kernels, rows, weights.matrix.inputs as usize)
        .unwrap();
    let all = weights.matrix.blocks();
    let half = Prepared::of_blocks(kernels, weights, 0..all / 2).unwrap();
    let prepared = half.and(Prepared::of_blocks(kernels, weights, all / 2..all).unwrap());
    assert_eq!(prepared, Prepared::new(kernels, weights).unwrap());
    let width = super::outputs_of(weights, &blocks);
    let mut out = vec![-1; width * activations.rows()];
    let middle = blocks.start + blocks.len() / 2;
    let left = super::outputs_of(weights, &(blocks.start..middle));
    let (one, two) = Columns::new(&mut out, width).split_at(left);
    linear(
        kernels,
        weights,
        &prepared,
        &activations,
        blocks.start..middle,
        one,
    )
    .unwrap();
    linear(
        kernels,
        weights,
        &prepared,
        &activations,
        middle..blocks.end,
        two,
    )
    .unwrap();
    out
}

fn check(seed: u64, encoding: Encoding, outputs: usize, inputs: usize, rows: usize, bits: u8) {
    let mut random = Random(seed);
    let (matrix, bytes) = random.matrix(encoding, outputs, inputs);
    let weights = Weights::new(&matrix, &bytes).unwrap();
    let rows: Vec<Vec<i16>> = (0..rows).map(|_| random.mantissas(inputs, bits)).collect();
    let start = random.below(matrix.blocks() as u64) as usize;
    let blocks = start..matrix.blocks();
    let expected: Vec<i64> = rows
        .iter()
        .flat_map(|row| (start * 16..outputs).map(|output| weights.dot(output, row)))
        .collect();
    for kernels in all() {
        let got = product(kernels, &weights, &rows.concat(), blocks.clone());
        assert_eq!(got, expected, "{:?}", kernels.path());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_equal_the_definition(
        seed: u64, encoding in 0..3_usize, outputs in 1..70_usize, inputs in 1..330_usize, rows in 1..40_usize,
        bits in 8..=16_u8,
    ) {
        check(seed, ENCODINGS[encoding], outputs, inputs, rows, bits);
    }
}

#[test]
fn every_number_of_rows_is_right() {
    for rows in (1..=DIRECT_ROWS + 14).chain([48, 61]) {
        check(rows as u64, ENCODINGS[rows % 3], 37, 300, rows, 14);
    }
}

#[test]
fn extremes_do_not_overflow() {
    for encoding in ENCODINGS {
        for bits in [8, 14, 16] {
            for (rows, value) in [(1, i16::MAX), (17, -i16::MAX), (24, i16::MAX)] {
                let (matrix, mut bytes) = Random(0).matrix(encoding, 33, 520);
                let layout = matrix.layout().unwrap();
                bytes[layout.multipliers.0..].fill(255);
                let quants = layout.quants.0..layout.quants.0 + layout.quants.1;
                let minimums = layout.minimums.0..layout.minimums.0 + layout.minimums.1;
                for lowest in [true, false] {
                    let quant = if encoding == Encoding::Int8 { 0x80 } else { 0 };
                    bytes[quants.clone()].fill(if lowest { quant } else { !quant });
                    // 32,767 still folds into 16 bits, 65,535 does not.
                    for high in [0x7f, 0xff, 0] {
                        for two in bytes[minimums.clone()].as_chunks_mut::<2>().0 {
                            *two = [0xff, high];
                        }
                        let weights = Weights::new(&matrix, &bytes).unwrap();
                        let row = vec![value >> (16 - bits); 520];
                        let dots = (0..33).map(|output| weights.dot(output, &row));
                        let expected: Vec<i64> = dots.collect();
                        for kernels in all() {
                            let got = product(kernels, &weights, &row.repeat(rows), 0..3);
                            assert_eq!(got, expected.repeat(rows), "{:?}", kernels.path());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let kernels = crate::Kernels::best();
    let (matrix, bytes) = Random(1).matrix(Encoding::Int8, 20, 40);
    let weights = Weights::new(&matrix, &bytes).unwrap();
    let prepared = Prepared::new(kernels, &weights).unwrap();
    let mut activations = Activations::new();
    assert!(activations.fill(kernels, &[1; 81], 40).is_err());
    activations.fill(kernels, &[1; 39], 39).unwrap();
    let mut out = [0; 20];
    let mut run = |activations: &Activations, blocks, width, weights: &Weights<'_>| {
        let out = Columns::new(&mut out, width);
        linear(kernels, weights, &prepared, activations, blocks, out)
    };
    let inputs = LinearError::Inputs {
        got: 39,
        expected: 40,
    };
    assert_eq!(run(&activations, 0..2, 20, &weights), Err(inputs));
    activations.fill(kernels, &[1; 40], 40).unwrap();
    assert!(matches!(
        run(&activations, 0..3, 20, &weights),
        Err(LinearError::Blocks { .. })
    ));
    assert!(matches!(
        run(&activations, 0..2, 19, &weights),
        Err(LinearError::Result { .. })
    ));
    let short = Weights {
        matrix: &matrix,
        bytes: &bytes[1..],
    };
    assert!(matches!(
        run(&activations, 0..2, 20, &short),
        Err(LinearError::Bytes { .. })
    ));
    assert_eq!(run(&activations, 0..2, 20, &weights), Ok(()));
    if kernels.path() != crate::Path::Scalar {
        let scalar = crate::Kernels::new(crate::Path::Scalar).unwrap();
        activations.fill(scalar, &[1; 40], 40).unwrap();
        assert!(matches!(
            run(&activations, 0..2, 20, &weights),
            Err(LinearError::Path { .. })
        ));
    }
}
