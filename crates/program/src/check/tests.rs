//! Programs that must be refused, each for its own reason.

use super::*;
use crate::{
    example::{Example, encoder, everything, fixed, index, scaled},
    matrix::Encoding,
    operation::{Branch, Pooling, Reduction},
};

/// What is said of a program after a change.
fn refused(change: impl FnOnce(&mut Program)) -> String {
    let mut program = everything().program;
    change(&mut program);
    program.check().unwrap_err().to_string()
}

/// The first step with such an operation.
fn find(program: &Program, wanted: impl Fn(&Operation) -> bool) -> usize {
    let mut steps = program.steps.iter();
    steps.position(|step| wanted(&step.operation)).unwrap()
}

/// What is said of a program whose first step with such an operation is changed.
fn refused_step(
    wanted: impl Fn(&Operation) -> bool,
    change: impl FnOnce(&mut StepDefinition),
) -> String {
    refused(|program| {
        let step = find(program, wanted);
        change(&mut program.steps[step]);
    })
}

#[test]
fn the_examples_are_programs() {
    assert_eq!(everything().program.check(), Ok(()));
    assert_eq!(encoder().program.check(), Ok(()));
}

#[test]
fn a_program_as_a_whole() {
    let error = refused(|program| program.version = 2);
    assert!(error.contains("version 2"), "{error}");
    assert!(refused(|program| program.positions = 0).contains("positions"));
    assert!(refused(|program| program.positions = 1 << 18).contains("positions"));
    assert!(refused(|program| program.outputs.clear()).contains("no output"));
    assert!(refused(|program| program.outputs[0].step = 999).contains("not there"));
    assert!(refused(|program| program.outputs[0].shape.push(2)).contains("shape"));
    assert!(refused(|program| program.vectors[0].exponent = 1025).contains("exponent"));
    assert!(refused(|program| program.vectors[0].exponent = i32::MIN).contains("exponent"));
    assert!(refused(|program| program.tables[0].bits = 3).contains("entries"));
    assert!(refused(|program| program.matrices[0].inputs = 0).contains("empty"));
    assert!(refused(|program| program.matrices[0].largest_shift = 62).contains("matrix"));
    assert!(refused(|program| program.vocabulary = 0).contains("vocabulary"));
}

#[test]
fn steps_read_what_is_before_them() {
    let is_add = |operation: &Operation| matches!(operation, Operation::Add { .. });
    let error = refused_step(is_add, |step| {
        step.operation = Operation::Add { left: 0, right: 4 };
    });
    assert!(error.contains("not computed before"), "{error}");
    // Delay may read later steps, of the same type, that there are.
    let is_delay = |operation: &Operation| matches!(operation, Operation::Delay(_));
    let error = refused_step(is_delay, |step| step.operation = Operation::Delay(60_000));
    assert!(error.contains("not computed before"), "{error}");
    let error = refused_step(is_delay, |step| step.operation = Operation::Delay(0));
    assert!(error.contains("type"), "{error}");
    let mut program = everything().program;
    program.causal = false;
    assert!(program.check().unwrap_err().to_string().contains("causal"));
}

#[test]
fn constants_that_are_not_there() {
    let error = refused_step(
        |operation| matches!(operation, Operation::Linear { .. }),
        |step| {
            if let Operation::Linear { matrix, .. } = &mut step.operation {
                *matrix = 900;
            }
        },
    );
    assert!(error.contains("matrix 900"), "{error}");
    let error = refused(|program| program.inputs.truncate(1));
    assert!(error.contains("input 1, of which there are 1"), "{error}");
    let error = refused(|program| program.tables.clear());
    assert!(error.contains("table 0, of which there are 0"), "{error}");
}

#[test]
fn forests_lead_on() {
    let forest = |change: fn(&mut Vec<Branch>)| {
        refused_step(
            |operation| matches!(operation, Operation::Trees { .. }),
            |step| {
                if let Operation::Trees { nodes, .. } = &mut step.operation {
                    change(nodes);
                }
            },
        )
    };
    let back: fn(&mut Vec<Branch>) = |nodes| {
        if let Branch::Decision { below, .. } = &mut nodes[1] {
            *below = 1;
        }
    };
    assert!(forest(back).contains("leads back"));
    assert!(forest(|nodes| nodes.truncate(3)).contains("begins nowhere"));
    assert!(
        forest(|nodes| nodes[5] = Branch::Leaf {
            output: 2,
            value: 0,
            more: false
        })
        .contains("out of its forest")
    );
    assert!(
        forest(|nodes| nodes[5] = Branch::Leaf {
            output: 0,
            value: 0,
            more: true
        })
        .contains("out of its forest")
    );
}

/// A program of one step on one fixed input.
fn one(input: Type, output: Type, operation: impl FnOnce(&mut Example) -> Operation) -> Program {
    let mut example = Example::new(true);
    let form = InputForm::Numbers;
    example.input(form, input);
    let operation = operation(&mut example);
    example.step(operation, output);
    example
        .program
        .outputs
        .push(crate::program::OutputDefinition {
            name: String::new(),
            shape: vec![example.program.steps[1].output.elements() as u32],
            step: 1,
        });
    example.program
}

/// The bits that a program's intermediate could need.
fn width(program: &Program) -> Option<u32> {
    match program.check() {
        Ok(()) => None,
        Err(ProgramError::Step {
            fault: Fault::Width { bits },
            ..
        }) => Some(bits),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_could_overflow_is_refused() {
    let linear = |row_sum, shift| {
        one(fixed(1, 8, 16, &[0]), scaled(8, 16, 1), |example| {
            let matrix = example.matrix([8, 8], Encoding::Int8, 0);
            example.program.matrices[0].largest_row_sum = row_sum;
            example.program.matrices[0].largest_shift = shift;
            Operation::Linear {
                input: 0,
                matrix,
                bias: None,
            }
        })
    };
    // A mantissa is below 2^15: 2^47 · 2^15 = 2^62 is too much by one bit.
    assert_eq!(width(&linear((1 << 47) - 1, 0)), None);
    assert_eq!(width(&linear((1 << 47) + (1 << 40), 0)), Some(63));
    assert_eq!(width(&linear((1 << 40) - 1, 7)), None);
    assert_eq!(width(&linear(1 << 40, 8)), Some(63));
    assert_eq!(width(&linear(u64::MAX, 61)), Some(121));
}

#[test]
fn attention_over_many_positions_must_fit() {
    let attend = |places, bits| {
        let form = fixed(1, 8, bits, &[0]);
        let mut program = one(form, scaled(8, 14, 1), |example| {
            let weights = example.vector(vec![i16::MAX], 0);
            let scale = Scale {
                multiplier: 1 << 16,
                places,
            };
            Operation::Attend {
                queries: 0,
                keys: 0,
                values: 0,
                attention: crate::operation::Attention {
                    heads: 1,
                    kv_heads: 1,
                    window: None,
                    scales: vec![scale],
                    weights,
                    cap: None,
                },
            }
        });
        program.positions = MAX_POSITIONS;
        program
    };
    assert_eq!(width(&attend(0, 16)), None);
    // Half of the divisor is added when a difference is rounded.
    assert_eq!(width(&attend(62, 16)), None);
    let wide = |width: u32| {
        let mut program = attend(0, 16);
        for step in &mut program.steps {
            step.output.width = width;
        }
        program.inputs[0].shape = vec![1, width];
        program.outputs[0].shape = vec![width];
        program
    };
    // Scores of 2^30 · 2^16, twice that for a difference, times a multiplier of 2^16.
    assert_eq!(super::tests::width(&wide((1 << 15) - 1)), None);
    assert_eq!(super::tests::width(&wide(1 << 17)), Some(64));
}

#[test]
fn heads_of_a_decoder_may_share_an_exponent() {
    let form = fixed(1, 64, 12, &[0, 1]);
    let mut program = one(form, scaled(64, 14, 1), |example| {
        let weights = example.vector(vec![i16::MAX], 0);
        let scale = Scale {
            multiplier: 1 << 16,
            places: 30,
        };
        Operation::Attend {
            queries: 0,
            keys: 0,
            values: 0,
            attention: crate::operation::Attention {
                heads: 2,
                kv_heads: 2,
                window: None,
                scales: vec![scale; 2],
                weights,
                cap: None,
            },
        }
    });
    // The sum of all weights times values is divided before heads are aligned to one exponent.
    program.positions = MAX_POSITIONS;
    assert_eq!(width(&program), None);
}

#[test]
fn a_softmax_over_a_large_vocabulary_fits() {
    let program = one(
        fixed(1, 1 << 18, 16, &[-9]),
        fixed(1, 1 << 18, 16, &[-15]),
        |example| {
            let weights = example.vector(vec![i16::MAX, 0], 0);
            Operation::Softmax {
                input: 0,
                exponent: -9,
                scale: Scale {
                    multiplier: 1,
                    places: 0,
                },
                weights,
            }
        },
    );
    assert_eq!(width(&program), None);
}

#[test]
fn shapes_that_do_not_fit() {
    let input = || fixed(2, 6, 12, &[0]);
    let refused = |output: Type, operation: Operation| {
        let program = one(input(), output, |_| operation);
        let error = program.check().unwrap_err().to_string();
        assert!(error.starts_with("step 1"), "{error}");
    };
    let view = |offset, axes: &[(u32, i32)]| Operation::View {
        input: 0,
        offset,
        axes: axes.to_vec(),
    };
    refused(fixed(1, 6, 12, &[0]), view(7, &[(6, 1)]));
    refused(fixed(1, 6, 12, &[0]), view(4, &[(6, -1)]));
    refused(fixed(1, 6, 12, &[0]), view(0, &[(5, 1)]));
    refused(fixed(1, 6, 12, &[0]), view(0, &[(6, i32::MIN)]));
    refused(fixed(1, 6, 12, &[1]), view(0, &[(6, 1)]));
    refused(fixed(1, 6, 12, &[0]), view(0, &[(1, 0); 17]));
    refused(fixed(2, 6, 12, &[0]), Operation::Join(vec![]));
    refused(fixed(2, 6, 12, &[0]), Operation::Join(vec![0, 0]));
    refused(fixed(2, 7, 12, &[0]), Operation::Cast(0));
    refused(fixed(2, 6, 12, &[0, 0, 0, 0]), Operation::Cast(0));
    refused(fixed(2, 6, 7, &[0]), Operation::Cast(0));
    refused(fixed(2, 6, 12, &[2_000]), Operation::Cast(0));
    refused(index(2, 1), Operation::Cast(0));
    refused(index(2, 2), Operation::Largest(0));
    refused(index(2, 7), Operation::Choose { input: 0, count: 7 });
    let reduce = |reduction| Operation::Reduce {
        input: 0,
        reduction,
    };
    refused(fixed(2, 2, 12, &[0]), reduce(Reduction::Sum));
    let pool = |stride, after| Operation::Pool {
        input: 0,
        pooling: Pooling::Mean,
        window: crate::operation::Window {
            input: [2, 1],
            size: [2, 1],
            stride: [stride, 1],
            before: [0, 0],
            after: [after, 0],
            dilation: [1, 1],
        },
    };
    refused(fixed(1, 6, 12, &[0]), pool(0, 0));
    refused(fixed(1, 6, 12, &[0]), pool(1, u32::MAX));
    refused(fixed(1, 6, 12, &[0]), pool(1, 1));
}
