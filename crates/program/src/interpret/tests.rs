//! The interpreter against other definitions of the same operations: floats for what they should mean, and numbers worked out
//! by hand where the last bit matters.

mod by_hand;
mod floats;

use super::*;
use crate::{
    example::{Example, encoder, everything, inputs},
    file::Manifest,
    value::Form,
};
use proptest::prelude::*;

/// Every element that is computed alone is the one in its row, once it is rounded at the row's exponent.
fn elements_are_values(example: &Example, positions: usize) {
    let interpreter = example.run(positions);
    for (step, definition) in example.program.steps.iter().enumerate() {
        let of = &definition.output;
        for position in 0..positions {
            let value = interpreter.computed(step as Step, position);
            assert!(value.fits(of), "step {step}");
            let operand = Operand { of, value };
            for row in 0..of.rows as usize {
                for column in 0..of.width as usize {
                    if of.form == Form::Index {
                        let (alone, _) = interpreter.element(step as Step, position, row, column);
                        assert_eq!(alone, i64::from(operand.indices(row)[column]));
                    } else {
                        let exponent = operand.exponent(row, column);
                        let alone =
                            interpreter.mantissa(step as Step, position, [row, column], exponent);
                        assert_eq!(alone, operand.row(row)[column], "step {step}");
                    }
                }
            }
        }
    }
}

#[test]
fn one_element_is_computed_alone() {
    elements_are_values(&everything(), 5);
    elements_are_values(&encoder(), 5);
}

#[test]
fn positions_come_one_by_one_or_at_once() {
    let example = everything();
    let at_once = example.run(6);
    let mut one_by_one = Interpreter::new(&example.program, example.weights()).unwrap();
    for input in inputs(&example.program, 6, 7) {
        one_by_one.extend(&[input]).unwrap();
    }
    assert_eq!(at_once.history, one_by_one.history);
    assert_eq!(at_once.clamped(), one_by_one.clamped());
}

#[test]
fn an_encoder_sees_what_comes_after() {
    let example = encoder();
    let inputs = inputs(&example.program, 6, 7);
    let run = |positions: usize| {
        let mut interpreter = Interpreter::new(&example.program, example.weights()).unwrap();
        interpreter.extend(&inputs[..positions]).unwrap();
        let last = example.program.steps.len() as Step - 1;
        interpreter.computed(last, 0).clone()
    };
    // The window of three ends two positions later.
    assert_ne!(run(2), run(3));
    assert_eq!(run(3), run(6));
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let example = everything();
    let mut interpreter = Interpreter::new(&example.program, example.weights()).unwrap();
    let good = inputs(&example.program, 9, 7);
    let many = InputError::Positions {
        positions: 9,
        most: 8,
    };
    assert_eq!(interpreter.extend(&good), Err(many));
    let mut unknown = good[..1].to_vec();
    unknown[0].token = 24;
    let error = InputError::Token {
        token: 24,
        vocabulary: 24,
    };
    assert_eq!(interpreter.extend(&unknown), Err(error));
    let mut wide = good[..1].to_vec();
    let Value::Rows { mantissas, .. } = &mut wide[0].inputs[0] else {
        panic!("the first input is a picture")
    };
    mantissas[5] = 128;
    assert_eq!(interpreter.extend(&wide), Err(InputError::Value(0)));
    wide[0].inputs.clear();
    assert_eq!(interpreter.extend(&wide), Err(InputError::Value(0)));
    assert!(interpreter.history.is_empty());
    assert!(Interpreter::new(&example.program, vec![]).is_err());
    interpreter.extend(&good[..8]).unwrap();
}

/// Runs a program that was changed if it is still one, and not much larger than before.
fn run_if_it_checks(program: &Program) -> bool {
    if program.check().is_err() {
        return false;
    }
    let elements: usize = program.steps.iter().map(|s| s.output.elements()).sum();
    let parts: usize = program.steps.iter().map(|s| s.output.parts()).sum();
    let weights = program.matrices.iter().map(|m| m.layout().unwrap().bytes);
    if elements + parts > 5_000 || weights.sum::<usize>() > 1 << 20 {
        return false;
    }
    let bytes: Vec<Vec<u8>> = program.matrices.iter().map(weights_within).collect();
    let matrices = program.matrices.iter().zip(&bytes);
    let weights = matrices.map(|(matrix, bytes)| Weights::new(matrix, bytes).unwrap());
    let mut interpreter = Interpreter::new(program, weights.collect()).unwrap();
    let positions = 3.min(program.positions as usize);
    interpreter.extend(&inputs(program, positions, 11)).is_ok()
}

/// Bytes of a matrix that keep what it declares: as large as may be.
fn weights_within(matrix: &crate::matrix::Matrix) -> Vec<u8> {
    let layout = matrix.layout().unwrap();
    let mut bytes = vec![0x81; layout.bytes];
    bytes[..layout.shifts.1].fill(matrix.largest_shift);
    if crate::file::measure(matrix, &bytes)
        .unwrap()
        .largest_row_sum
        > matrix.largest_row_sum
    {
        bytes.fill(0);
        bytes[..layout.shifts.1].fill(matrix.largest_shift);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Overflow is checked in this build, so a width that is proven wrongly would panic too.
    #[test]
    fn what_passes_the_check_runs(
        causal in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        thread_local! {
            static BYTES: [Vec<u8>; 2] =
                [everything(), encoder()].map(|example| example.manifest().encode_canonical());
        }
        let mut bytes = BYTES.with(|bytes| bytes[usize::from(!causal)].clone());
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(manifest) = minicbor::decode::<Manifest>(&bytes) {
            run_if_it_checks(&manifest.program);
        }
    }

    /// Changes of numbers alone, most of which stay programs.
    #[test]
    fn what_passes_the_check_runs_with_other_numbers(
        step in any::<prop::sample::Index>(),
        bits in 8_u8..=16,
        exponent in prop_oneof![-1024..1024_i32, -20..20_i32],
        large in any::<bool>(),
    ) {
        let mut example = everything();
        let step = step.index(example.program.steps.len());
        match &mut example.program.steps[step].output.form {
            Form::Index => {}
            Form::Scaled { bits: of, .. } => *of = bits,
            Form::Fixed { bits: of, exponents } => {
                *of = bits;
                exponents.fill(exponent);
            }
        }
        for matrix in &mut example.program.matrices {
            matrix.exponent = exponent;
            matrix.largest_shift = if large { 20 } else { 2 };
        }
        for vector in &mut example.program.vectors {
            vector.mantissas[0] = if large { i16::MAX } else { 0 };
        }
        run_if_it_checks(&example.program);
    }
}

#[test]
fn changed_programs_are_often_still_programs() {
    // The tests above would show nothing if all of their programs were refused.
    let bytes = everything().manifest().encode_canonical();
    let mut ran = 0;
    for place in (0..bytes.len()).step_by(11) {
        let mut bytes = bytes.clone();
        bytes[place] = bytes[place].wrapping_add(1);
        if let Ok(manifest) = minicbor::decode::<Manifest>(&bytes) {
            ran += usize::from(run_if_it_checks(&manifest.program));
        }
    }
    assert!(ran > 100, "{ran}");
}
