//! Numbers worked out by hand, where the last bit or a corner matters.

use super::*;
use crate::{
    example::{fixed, index, scaled},
    operation::{Attention, Number, Reduction, Rotation, Scale},
    program::InputForm,
    value::Form,
};

/// A program of one input and what is built on it.
struct Small {
    example: Example,
    input: Step,
}

impl Small {
    fn of(output: Type) -> Self {
        let mut example = Example::new(true);
        let form = match output.form {
            Form::Index => InputForm::Indices,
            _ => InputForm::Numbers,
        };
        let input = example.input(form, output);
        Self { example, input }
    }

    /// The mantissas and exponents of the last step at the last position.
    fn run(self, positions: &[&[i16]]) -> (Vec<i16>, Vec<i32>) {
        let example = self.example.finish();
        let of = &example.program.steps[self.input as usize].output;
        let inputs = positions.iter().map(|mantissas| {
            let mut value = Value::zero(of);
            match &mut value {
                Value::Rows { mantissas: m, .. } => m.copy_from_slice(mantissas),
                Value::Index(indices) => {
                    indices.clear();
                    indices.extend(mantissas.iter().map(|index| *index as u32));
                }
            }
            PositionInput {
                token: 0,
                inputs: vec![value],
            }
        });
        let mut interpreter = Interpreter::new(&example.program, example.weights()).unwrap();
        interpreter.extend(&inputs.collect::<Vec<_>>()).unwrap();
        let last = example.program.steps.len() as Step - 1;
        let value = interpreter.computed(last, positions.len() - 1);
        let indices = value.indices().iter().map(|index| *index as i16);
        let mantissas = value.mantissas().iter().copied().chain(indices).collect();
        (mantissas, value.exponents().to_vec())
    }
}

#[test]
fn a_cast_rounds_halves_up_and_clamps() {
    let mut small = Small::of(fixed(1, 4, 16, &[0]));
    small
        .example
        .step(Operation::Cast(small.input), fixed(1, 4, 8, &[2]));
    // 6/4 = 1.5 and -6/4 = -1.5 go up; 511/4 = 127.75 goes beyond 127.
    let (mantissas, exponents) = small.run(&[&[6, -6, 511, -32_767]]);
    assert_eq!((mantissas, exponents), (vec![2, -1, 127, -127], vec![2]));
}

#[test]
fn clamped_elements_are_counted() {
    let mut example = Example::new(true);
    let input = example.input(InputForm::Numbers, fixed(1, 2, 16, &[0]));
    example.step(Operation::Cast(input), fixed(1, 2, 8, &[0]));
    let example = example.finish();
    let mut interpreter = Interpreter::new(&example.program, vec![]).unwrap();
    for mantissas in [vec![127, 128], vec![-127, -128]] {
        let value = Value::Rows {
            mantissas,
            exponents: vec![0],
        };
        let input = PositionInput {
            token: 0,
            inputs: vec![value],
        };
        interpreter.extend(&[input]).unwrap();
    }
    assert_eq!(interpreter.clamped(), [0, 2]);
}

#[test]
fn a_row_takes_the_exponent_of_its_greatest() {
    let mut small = Small::of(fixed(1, 4, 16, &[-3]));
    small
        .example
        .step(Operation::Cast(small.input), scaled(4, 8, 2));
    // 255 needs 8 bits and has 7: one place less, where 127.5 becomes 128 and is clamped. 3 needs no places.
    let (mantissas, exponents) = small.run(&[&[255, -255, 3, 0]]);
    assert_eq!(
        (mantissas, exponents),
        (vec![127, -127, 3, 0], vec![-2, -3])
    );
}

#[test]
fn a_row_of_zeros_has_the_lowest_exponent() {
    let mut small = Small::of(fixed(1, 4, 16, &[5]));
    let zeros = small
        .example
        .step(Operation::Cast(small.input), scaled(4, 8, 1));
    let sum = Operation::Add {
        left: zeros,
        right: zeros,
    };
    small.example.step(sum, scaled(4, 16, 1));
    let (mantissas, exponents) = small.run(&[&[0; 4]]);
    assert_eq!((mantissas, exponents), (vec![0; 4], vec![-32_768]));
}

#[test]
fn what_is_far_below_is_lost_in_a_sum() {
    let mut small = Small::of(fixed(1, 2, 16, &[0, -40]));
    let small_part = small
        .example
        .step(Operation::Cast(small.input), fixed(1, 2, 16, &[0, -40]));
    let sum = Operation::Add {
        left: small.input,
        right: small_part,
    };
    small.example.step(sum, scaled(2, 16, 1));
    // 2 at exponent 0 and 2·2^-40 join at exponent -16: the second rounds to 0.
    let (mantissas, exponents) = small.run(&[&[1, 1]]);
    assert_eq!((mantissas, exponents), (vec![1 << 14, 0], vec![-13]));
}

#[test]
fn a_root_mean_square_is_that_of_its_definition() {
    let mut small = Small::of(fixed(1, 2, 16, &[0]));
    let gain = small.example.vector(vec![16_384, 16_384], -14);
    let operation = Operation::RootMeanSquare {
        input: small.input,
        gain,
        epsilon: Number {
            mantissa: 0,
            exponent: 0,
        },
        parts: 1,
    };
    small.example.step(operation, scaled(2, 16, 1));
    // V = 9 + 16 = 25; 25·2^26 is in [2^30, 2^32), floor(√(2^62 / (25·2^26))) = floor(2^18 / 5) = 52428.
    // 3·52428·2^14 has 32 bits and 4·52428·2^14 too: 17 places; 3·52428/8 = 19660.5 goes up, 4·52428/8 = 26214.
    // The exponent: -14 + 26/2 - 31 + 17 = -15, and 26214·2^-15 is 0.8.
    let (mantissas, exponents) = small.run(&[&[3, 4]]);
    assert_eq!((mantissas, exponents), (vec![19_661, 26_214], vec![-15]));
}

#[test]
fn nothing_but_zeros_has_no_root() {
    let mut small = Small::of(fixed(1, 2, 16, &[0]));
    let gain = small.example.vector(vec![i16::MAX; 2], 0);
    let operation = Operation::RootMeanSquare {
        input: small.input,
        gain,
        epsilon: Number {
            mantissa: 0,
            exponent: 0,
        },
        parts: 1,
    };
    small.example.step(operation, scaled(2, 16, 1));
    assert_eq!(small.run(&[&[0, 0]]), (vec![0, 0], vec![-32_768]));
}

#[test]
fn a_quarter_turn_for_each_position() {
    let mut small = Small::of(fixed(1, 4, 16, &[0]));
    let mut sine = vec![0_i16; 256];
    // Only quarter turns are asked for.
    (sine[64], sine[192]) = (16_384, -16_384);
    let sine = small.example.vector(sine, -14);
    let operation = Operation::Rotate {
        input: small.input,
        heads: 1,
        rotation: Rotation {
            steps: vec![1 << 62],
            sine,
            halves: false,
        },
    };
    small.example.step(operation, fixed(1, 4, 16, &[0]));
    // Position 1: (a, b) becomes (-b, a). What belongs to no pair stays.
    let (mantissas, _) = small.run(&[&[0; 4], &[5, 7, 11, -13]]);
    assert_eq!(mantissas, [-7, 5, 11, -13]);
}

fn attention(example: &mut Example, window: Option<u32>) -> Attention {
    // Weights 4, 2, 1, and 0 for all that are further away.
    let weights = example.vector(vec![4, 2, 1, 0], 0);
    Attention {
        heads: 1,
        kv_heads: 1,
        window,
        scales: vec![Scale {
            multiplier: 1,
            places: 0,
        }],
        weights,
        cap: None,
    }
}

fn attend(window: Option<u32>, positions: &[&[i16]]) -> Vec<i16> {
    let mut small = Small::of(fixed(1, 2, 12, &[0]));
    let attention = attention(&mut small.example, window);
    let operation = Operation::Attend {
        queries: small.input,
        keys: small.input,
        values: small.input,
        attention,
    };
    small.example.step(operation, fixed(1, 2, 12, &[0]));
    small.run(positions).0
}

#[test]
fn attention_is_a_mean_by_weights() {
    // Scores of (1, 0) with itself and with (0, 9) and (-1, 90): 1, 0, -1; weights 4, 2, 1.
    // (4·1 + 2·0 + 1·-1) / 7 = 0.43 and (0 + 2·9 + 90) / 7 = 15.43.
    assert_eq!(attend(None, &[&[-1, 90], &[0, 9], &[1, 0]]), [0, 15]);
    // Without the first: 4/6 = 0.67 and 18/6 = 3.
    assert_eq!(attend(Some(2), &[&[-1, 90], &[0, 9], &[1, 0]]), [1, 3]);
    // A position alone sees itself.
    assert_eq!(attend(Some(1), &[&[-1, 90], &[3, -4]]), [3, -4]);
}

#[test]
fn weights_that_are_all_zero_give_zero() {
    let mut small = Small::of(fixed(1, 2, 12, &[0]));
    let mut attention = attention(&mut small.example, None);
    attention.weights = small.example.vector(vec![0], 0);
    let operation = Operation::Attend {
        queries: small.input,
        keys: small.input,
        values: small.input,
        attention,
    };
    small.example.step(operation, fixed(1, 2, 12, &[0]));
    assert_eq!(small.run(&[&[5, 5]]).0, [0, 0]);
}

#[test]
fn a_softmax_is_divided_once() {
    let mut small = Small::of(fixed(1, 4, 12, &[0]));
    let weights = small.example.vector(vec![4, 2, 1, 0], 0);
    let operation = Operation::Softmax {
        input: small.input,
        exponent: 0,
        scale: Scale {
            multiplier: 1,
            places: 0,
        },
        weights,
    };
    small.example.step(operation, fixed(1, 4, 16, &[-14]));
    // Weights 4, 2, 1, 0 of 7.
    let sevenths = |n: i32| (f64::from(n * 16_384) / 7.0).round() as i16;
    let (mantissas, _) = small.run(&[&[9, 8, 7, -500]]);
    assert_eq!(mantissas, [sevenths(4), sevenths(2), sevenths(1), 0]);
}

#[test]
fn means_are_rounded_down_and_then_to_the_nearest() {
    let mut small = Small::of(fixed(1, 3, 12, &[0]));
    let reduce = Operation::Reduce {
        input: small.input,
        reduction: Reduction::Mean,
    };
    small.example.step(reduce, fixed(1, 1, 12, &[-2]));
    // (1 + 1 - 3)/3 = -1/3: in units of a quarter -1.33.
    assert_eq!(small.run(&[&[1, 1, -3]]).0, [-1]);
}

#[test]
fn equal_elements_are_chosen_by_index() {
    for (operation, chosen) in [
        (Operation::Choose { input: 0, count: 3 }, vec![1_i16, 3, 0]),
        (Operation::Largest(0), vec![1]),
    ] {
        let mut small = Small::of(fixed(1, 4, 12, &[0]));
        small.example.step(operation, index(1, chosen.len() as u32));
        assert_eq!(small.run(&[&[2, 9, -9, 9]]).0, chosen);
    }
}

#[test]
fn indices_beyond_the_last_take_the_last() {
    let mut example = Small::of(index(2, 1));
    let matrix = example
        .example
        .matrix([3, 4], crate::matrix::Encoding::Int8, 0);
    let embed = Operation::Embed {
        input: example.input,
        matrix,
    };
    let mut rows = fixed(2, 4, 16, &[0]);
    rows.rows = 2;
    example.example.step(embed, rows);
    let weights = example.example.weights()[0];
    let row = |output: usize| -> Vec<i16> {
        let shift = weights.shift(output);
        let values = (0..4).map(|input| (weights.value(output, input) << shift) as i16);
        values.collect()
    };
    let expected = [row(1), row(2)].concat();
    assert_eq!(example.run(&[&[1, 900]]).0, expected);
}

#[test]
fn a_constant_is_repeated_for_each_row() {
    let mut example = Example::new(true);
    let vector = example.vector(vec![1, 2, 3], -4);
    example.step(Operation::Constant(vector), fixed(2, 3, 8, &[-4]));
    let example = example.finish();
    let interpreter = example.run(1);
    let value = interpreter.computed(0, 0);
    assert_eq!(value.mantissas(), [1, 2, 3, 1, 2, 3]);
    assert_eq!(value.exponents(), [-4, -4]);
}

#[test]
fn the_first_position_has_none_before() {
    let mut small = Small::of(fixed(1, 2, 12, &[3]));
    small
        .example
        .step(Operation::Delay(small.input), fixed(1, 2, 12, &[3]));
    assert_eq!(small.run(&[&[7, 7], &[8, 8], &[9, 9]]).0, [8, 8]);
    let mut small = Small::of(fixed(1, 2, 12, &[3]));
    small
        .example
        .step(Operation::Delay(small.input), fixed(1, 2, 12, &[3]));
    assert_eq!(small.run(&[&[7, 7]]), (vec![0, 0], vec![3]));
}
