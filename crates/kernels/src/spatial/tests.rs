//! Windows and products equal the definition on every path.

use super::{Convolution, Factor, Picture, pool};
use crate::{
    RowMut,
    finish::{LinearFinish, dot_exponent, finish_values},
    row::Wide,
    testing::{Judge, Random, all},
};
use og_program::{
    matrix::{Encoding, Weights},
    operation::{Operation, Pooling, Window},
    value::{Type, Value, moved},
};
use proptest::prelude::*;

fn window(random: &mut Random) -> Window {
    let mut two = |low, high| [0; 2].map(|_: i32| random.between(low, high) as u32);
    let (size, dilation, before) = (two(1, 3), two(1, 2), two(0, 2));
    Window {
        input: two(5, 7),
        size,
        stride: two(1, 2),
        before,
        after: two(0, 2),
        dilation,
    }
}

fn plain(random: &mut Random, rows: u32, width: u32) -> Type {
    Type {
        rows,
        width,
        form: random.fixed(1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn windows(seed: u64, channels in 1..5_u32, groups in 0..3_u32, each in 1..8_u32) {
        let random = &mut Random(seed);
        let window = window(random);
        let groups = 1 << groups;
        let (channels, outputs) = (channels * groups, each * groups);
        let input = plain(random, window.input[0] * window.input[1], channels);
        let value = random.value(&input);
        let picture = Picture { mantissas: value.mantissas(), channels: channels as usize };
        let [height, width] = window.output().unwrap();
        let inputs = window.size[0] * window.size[1] * channels / groups;
        let encoding = [Encoding::Int8, Encoding::Int4, Encoding::Int6][random.below(3) as usize];
        let (matrix, bytes) = random.matrix(encoding, outputs as usize, inputs as usize);
        let weights = Weights::new(&matrix, &bytes).unwrap();
        let bias = random.vector(outputs as usize, 12);
        let output = Type { rows: height * width, width: outputs, form: random.form(1) };
        let operation = Operation::Convolve { input: 0, matrix: 0, bias: Some(0), window: window.clone(), groups };
        let judge = Judge {
            operation, output: output.clone(), vectors: vec![bias.clone()], tables: vec![],
            weights: vec![weights], types: vec![input.clone()],
        };
        let expected = judge.result(&[vec![value.clone()]]);
        let exponent = dot_exponent(value.exponents()[0], matrix.exponent);
        let rows = output.rows as usize;
        let finish = LinearFinish { exponent, bias: Some(&bias), form: &output.form };
        // Mantissas as large as the type allows, or as there are: sums then fit 32 bits for shorter or longer.
        let most = value.mantissas().iter().map(|m| i64::from(*m).abs()).max().unwrap_or(0);
        for (kernels, largest) in all().flat_map(|kernels| [(kernels, input.largest()), (kernels, most)]) {
            let convolution = Convolution::new(&weights, &window, channels as usize, groups as usize, largest);
            let (mut prepared, mut sums) = (vec![], vec![]);
            convolution.prepare([picture, picture].into_iter(), &mut prepared);
            let (mut mantissas, mut exponents) = (vec![0; output.elements()], vec![0; rows]);
            // In two parts.
            let cut = random.below(rows as u64 + 1) as usize;
            let (left, right) = mantissas.split_at_mut(cut * outputs as usize);
            let (left_exponents, right_exponents) = exponents.split_at_mut(cut);
            let mut clamped = 0;
            for (rows, mantissas, exponents) in [(0..cut, left, left_exponents), (cut..rows, right, right_exponents)] {
                let out = RowMut { mantissas, exponents };
                clamped += convolution.rows(kernels, &prepared, 1, rows, finish, &mut sums, out);
            }
            prop_assert_eq!(&(Value::Rows { mantissas, exponents }, clamped), &expected);
        }
    }

    #[test]
    fn pools(seed: u64, channels in 1..20_u32, pooling in 0..3_usize) {
        let random = &mut Random(seed);
        let window = window(random);
        let pooling = [Pooling::Greatest, Pooling::Mean, Pooling::MeanOfAll][pooling];
        let input = plain(random, window.input[0] * window.input[1], channels);
        let value = random.value(&input);
        let [height, width] = window.output().unwrap();
        let output = Type { rows: height * width, width: channels, form: random.form(1) };
        let judge = Judge {
            operation: Operation::Pool { input: 0, pooling, window: window.clone() },
            output: output.clone(), vectors: vec![], tables: vec![], weights: vec![], types: vec![input],
        };
        let expected = judge.result(&[vec![value.clone()]]);
        let picture = Picture { mantissas: value.mantissas(), channels: channels as usize };
        for kernels in all() {
            let (mut mantissas, mut exponents) = (vec![0; output.elements()], vec![0; output.rows as usize]);
            let out = RowMut { mantissas: &mut mantissas, exponents: &mut exponents };
            let (exponent, rows) = (value.exponents()[0], 0..output.rows as usize);
            let clamped = pool(kernels, picture, exponent, pooling, &window, rows, &output.form, &mut Wide::default(), out);
            prop_assert_eq!(&(Value::Rows { mantissas, exponents }, clamped), &expected);
        }
    }

    #[test]
    fn products(seed: u64, left in 1..20_u32, right in 1..70_u32, width in 1..70_u32) {
        let random = &mut Random(seed);
        let types = vec![plain(random, left, width), plain(random, right, width)];
        let values: Vec<Value> = types.iter().map(|of| random.value(of)).collect();
        let output = Type { rows: left, width: right, form: random.scaled(1) };
        let judge = Judge {
            operation: Operation::Product { left: 0, right: 1 }, output: output.clone(),
            vectors: vec![], tables: vec![], weights: vec![], types,
        };
        let expected = judge.result(core::slice::from_ref(&values));
        let exponent = moved(values[0].exponents()[0], values[1].exponents()[0]);
        for kernels in all() {
            let mut factor = Factor::default();
            factor.fill(values[1].mantissas(), width as usize);
            prop_assert_eq!(factor.rows(), right as usize);
            let mut dots = vec![0; output.elements()];
            factor.product(kernels, values[0].mantissas(), width as usize, &mut vec![], &mut dots);
            let (mut mantissas, mut exponents) = (vec![0; output.elements()], vec![0; left as usize]);
            for (row, dots) in dots.chunks_mut(right as usize).enumerate() {
                let mantissas = &mut mantissas[row * right as usize..][..right as usize];
                let out = RowMut { mantissas, exponents: &mut exponents[row..=row] };
                finish_values(kernels, dots, &[exponent], &output.form, out);
            }
            prop_assert_eq!(&Value::Rows { mantissas, exponents }, &expected.0);
        }
    }
}

#[test]
fn extreme_products_do_not_overflow() {
    for value in [i16::MAX, -i16::MAX] {
        let (left, right) = (vec![value; 3 * 600], vec![i16::MAX; 40 * 600]);
        let mut factor = Factor::default();
        factor.fill(&right, 600);
        for kernels in all() {
            let mut out = vec![0; 120];
            factor.product(kernels, &left, 600, &mut vec![], &mut out);
            assert_eq!(out, vec![600 * i64::from(value) * i64::from(i16::MAX); 120]);
        }
    }
}
