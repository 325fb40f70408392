//! The executor gives the interpreter's values, whatever the batch, the threads, the cache and the kernels.

mod generate;
mod model;
mod programs;
mod text;

use super::{Executor, Model, Observer, Ready, SequenceId, Settings, Span, ValueRef};
use og_kernels::{Kernels, Path};
use og_program::{
    interpret::{Interpreter, PositionInput},
    operation::{Operation, Step},
    trace,
    value::{Form, Value},
};
use programs::Numbers;
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// What one sequence gives at each position.
type Inputs = Vec<PositionInput>;

fn interpreted<'a>(model: &'a Model, inputs: &[PositionInput]) -> Interpreter<'a> {
    let mut interpreter = Interpreter::new(model.program(), model.weights()).unwrap();
    interpreter.extend(inputs).unwrap();
    interpreter
}

/// The root of a run whose outputs are used at `used` positions.
fn interpreted_root(
    model: &Model,
    interpreter: &Interpreter<'_>,
    positions: usize,
    used: &[usize],
) -> trace::Hash {
    let plan = trace::Plan::of(model.program());
    let mut run = trace::Run::new();
    for position in 0..positions {
        let group = |steps: &[Step]| {
            let leaves = steps
                .iter()
                .map(|step| trace::leaf(*step, interpreter.computed(*step, position)));
            trace::root(&leaves.collect::<Vec<_>>())
        };
        let tail = used.contains(&position).then(|| group(plan.tail()));
        run.push(trace::position_root(&group(plan.body()), tail.as_ref()));
    }
    run.root()
}

/// Random inputs of a program for some positions.
fn random_inputs(model: &Model, numbers: &mut Numbers, positions: usize) -> Inputs {
    let program = model.program();
    (0..positions)
        .map(|_| {
            let mut inputs = vec![Value::Index(vec![]); program.inputs.len()];
            for definition in &program.steps {
                let Operation::Input(input) = definition.operation else {
                    continue;
                };
                let of = &definition.output;
                inputs[input as usize] = match &of.form {
                    Form::Fixed { exponents, .. } => Value::Rows {
                        mantissas: (0..of.elements())
                            .map(|_| numbers.between(-of.largest(), of.largest()) as i16)
                            .collect(),
                        exponents: exponents.repeat(of.rows as usize),
                    },
                    _ => Value::Index(
                        (0..of.elements())
                            .map(|_| numbers.below(12) as u32)
                            .collect(),
                    ),
                };
            }
            PositionInput {
                token: numbers.below(program.vocabulary.max(1) as usize) as u32,
                inputs,
            }
        })
        .collect()
}

/// Compares every value that is computed with the interpreter's.
struct Compare<'a> {
    interpreters: BTreeMap<SequenceId, &'a Interpreter<'a>>,
    seen: usize,
}

impl Observer for Compare<'_> {
    fn value(&mut self, sequence: SequenceId, position: usize, step: Step, value: ValueRef<'_>) {
        let expected = self.interpreters[&sequence].computed(step, position);
        assert_eq!(
            &value.to_value(),
            expected,
            "step {step} at position {position}"
        );
        self.seen += 1;
    }
}

/// One sequence that is being computed in pieces.
struct Running<'a> {
    id: SequenceId,
    inputs: &'a Inputs,
    done: usize,
    used: Vec<usize>,
}

/// Runs sequences in random batches and compares every value, every output and every root with the interpreter's.
fn run_mixed(
    executor: &mut Executor,
    model: &Model,
    all: &[Inputs],
    numbers: &mut Numbers,
    most_chunk: usize,
) {
    let interpreters: Vec<Interpreter<'_>> = all
        .iter()
        .map(|inputs| interpreted(model, inputs))
        .collect();
    let mut compare = Compare {
        interpreters: BTreeMap::new(),
        seen: 0,
    };
    let mut running = vec![];
    for (inputs, interpreter) in all.iter().zip(&interpreters) {
        let tokens: Vec<u32> = inputs.iter().map(|input| input.token).collect();
        let known = if model.program().vocabulary > 0 {
            &tokens[..]
        } else {
            &[]
        };
        let (id, done) = executor.begin(known, true);
        assert!(done < inputs.len());
        compare.interpreters.insert(id, interpreter);
        running.push(Running {
            id,
            inputs,
            done,
            used: vec![],
        });
    }
    while running
        .iter()
        .any(|sequence| sequence.done < sequence.inputs.len())
    {
        let mut tokens = vec![];
        let mut values = vec![];
        let mut chosen = vec![];
        for (index, sequence) in running.iter().enumerate() {
            let left = sequence.inputs.len() - sequence.done;
            if left == 0 || (numbers.below(3) == 0 && !chosen.is_empty()) {
                continue;
            }
            let whole = !model.program().causal;
            let count = if whole {
                left
            } else {
                left.min(1 + numbers.below(most_chunk))
            };
            let inputs = &sequence.inputs[sequence.done..][..count];
            tokens.push(inputs.iter().map(|input| input.token).collect::<Vec<_>>());
            values.push(
                inputs
                    .iter()
                    .map(|input| input.inputs.clone())
                    .collect::<Vec<_>>(),
            );
            let start = numbers.below(count + 1);
            let end = start + numbers.below(count + 1 - start);
            let wanted = if count == left {
                start.min(count - 1)..count
            } else {
                start..end
            };
            chosen.push((index, count, wanted));
        }
        if chosen.is_empty() {
            continue;
        }
        let takes_tokens = model.program().vocabulary > 0;
        let spans: Vec<Span<'_>> = chosen
            .iter()
            .zip(tokens.iter().zip(&values))
            .map(|((index, _, wanted), (tokens, values))| Span {
                sequence: running[*index].id,
                tokens: if takes_tokens { tokens } else { &[] },
                inputs: if takes_tokens { &[] } else { values },
                wanted: wanted.clone(),
                traced: true,
            })
            .collect();
        executor.forward(&spans, Some(&mut compare)).unwrap();
        let mut row = 0;
        for (index, count, wanted) in chosen {
            let sequence = &mut running[index];
            for offset in wanted {
                let position = sequence.done + offset;
                sequence.used.push(position);
                for (output, definition) in model.program().outputs.iter().enumerate() {
                    let value = executor.output(output, row).unwrap().to_value();
                    assert_eq!(
                        &value,
                        interpreters[index].computed(definition.step, position)
                    );
                }
                row += 1;
            }
            sequence.done += count;
        }
        assert_eq!(row, executor.outputs());
    }
    assert!(compare.seen > 0);
    for (sequence, interpreter) in running.iter().zip(&interpreters) {
        let root = interpreted_root(model, interpreter, sequence.inputs.len(), &sequence.used);
        assert_eq!(executor.run_root(sequence.id), Some(root));
        executor.end(sequence.id);
    }
}

fn settings(threads: usize) -> Settings {
    Settings {
        threads,
        cache_bytes: 64 << 20,
        keeps_prefixes: true,
    }
}

fn check(model: Model, seed: u64, sequences: usize, longest: usize) {
    let mut numbers = Numbers(seed ^ 0x5eed);
    let model = Arc::new(model);
    let mut all: Vec<Inputs> = vec![];
    for _ in 0..sequences {
        let positions = 1 + numbers.below(longest);
        let mut inputs = random_inputs(&model, &mut numbers, positions);
        // Some begin as an earlier one does, so that prefixes are found.
        if let Some(other) = all.last().filter(|_| numbers.coin()) {
            let same = other.len().min(inputs.len());
            inputs[..same].clone_from_slice(&other[..same]);
        }
        all.push(inputs);
    }
    let paths: Vec<Path> = Path::available().collect();
    let ready =
        Arc::new(Ready::new(model.clone(), Kernels::new(numbers.pick(&paths)).unwrap()).unwrap());
    let threads = numbers.pick(&[1, 2, 4]);
    let mut executor = Executor::new(ready, &settings(threads));
    let chunk = numbers.pick(&[1, 7, 64]);
    run_mixed(&mut executor, &model, &all, &mut numbers, chunk);
    // A second time: prefixes of the first are found.
    let chunk = numbers.pick(&[1, 7, 64]);
    run_mixed(&mut executor, &model, &all, &mut numbers, chunk);
    assert_eq!(executor.blocks().1, 0, "blocks are still held");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn decoders_give_the_interpreters_values(seed in any::<u64>(), sequences in 1_usize..6) {
        check(programs::transformer(seed, true), seed, sequences, 90);
    }

    #[test]
    fn encoders_give_the_interpreters_values(seed in any::<u64>(), sequences in 1_usize..4) {
        check(programs::transformer(seed, false), seed, sequences, 70);
    }

    #[test]
    fn recurrent_programs_give_the_interpreters_values(seed in any::<u64>(), sequences in 1_usize..4) {
        check(programs::recurrent(seed), seed, sequences, 80);
    }

    #[test]
    fn pictures_and_trees_give_the_interpreters_values(seed in any::<u64>(), sequences in 1_usize..4) {
        check(programs::picture(seed), seed, sequences, 3);
    }
}

#[test]
fn long_texts_of_one_sequence_and_sixteen_at_once_are_equal() {
    let model = programs::transformer(7, true);
    check(model, 7, 1, 400);
    let model = programs::transformer(11, true);
    check(model, 11, 16, 40);
}

#[test]
fn tensors_go_through_a_program_entry_by_entry() {
    use og_types::{ElementType, Tensor};
    let model = Arc::new(programs::picture(5));
    let backend = super::ExactTensors::new(model.clone()).unwrap();
    let mut numbers = Numbers(1);
    let inputs = random_inputs(&model, &mut numbers, 1);
    let floats: Vec<u8> = inputs[0].inputs[0]
        .mantissas()
        .iter()
        .flat_map(|m| (f32::from(*m) / 64.0).to_le_bytes())
        .collect();
    let ranks: Vec<u8> = inputs[0].inputs[1]
        .indices()
        .iter()
        .flat_map(|index| i64::from(*index).to_le_bytes())
        .collect();
    let tensor = |input: usize, element_type, data: Vec<u8>| Tensor {
        name: model.program().inputs[input].name.clone(),
        element_type,
        shape: model.program().inputs[input].shape.clone(),
        data: data.into(),
    };
    let given = [
        tensor(0, ElementType::F32, floats),
        tensor(1, ElementType::I64, ranks),
    ];
    let outputs = backend.infer(&given).unwrap();
    let interpreter = interpreted(&model, &inputs);
    assert_eq!(outputs.len(), 4);
    for output in &outputs {
        let definition = model
            .program()
            .outputs
            .iter()
            .find(|of| of.name == output.name)
            .unwrap();
        let value = interpreter.computed(definition.step, 0);
        assert_eq!(output.shape, definition.shape);
        if value.indices().is_empty() {
            let numbers = value.mantissas().iter().enumerate().map(|(index, m)| {
                let part = value.mantissas().len() / value.exponents().len();
                f64::from(*m) * 2_f64.powi(value.exponents()[index / part])
            });
            let floats = output
                .data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
            assert!(numbers.eq(floats));
        } else {
            let integers = output
                .data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| i64::from_le_bytes(*bytes));
            assert!(
                value
                    .indices()
                    .iter()
                    .map(|index| i64::from(*index))
                    .eq(integers)
            );
        }
    }
    assert_eq!(backend.infer(&given).unwrap(), outputs);
    assert!(backend.infer(&given[..1]).is_err());
    assert!(matches!(
        super::ExactTensors::new(Arc::new(programs::transformer(1, true))),
        Err(super::TensorsError::Tokens)
    ));
}
