//! Programs without tokens as a backend: tensors in, tensors out.
//!
//! Where every input and output has a first extent of 1, a request may have any other there: its entries are computed
//! each for itself. Executors have one thread, since such models are small; several requests run at once.

use super::{
    convert::{float_of, integer_of, mantissa_of, rank_of},
    executor::{Executor, Settings, Span},
    model::Model,
    ready::Ready,
    values::ValueRef,
};
use crate::{
    backend::{Backend, Pieces, Run, RunError},
    processors::compute,
};
use bytes_of::elements;
use og_kernels::{Kernels, LinearError};
use og_program::{
    operation::Operation,
    program::{InputForm, Program},
    value::{Form, Type, Value},
};
use og_types::{
    Computed, ElementType, ModelDescription, Tensor, TensorDescription,
    limits::{MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_TENSORS},
};
use parking_lot::Mutex;
use std::sync::Arc;

/// Entries that are computed at once.
const ENTRIES_AT_ONCE: usize = 32;
/// Executors that are kept for later requests.
const MOST_IDLE: usize = 8;

/// Why a model cannot be a backend of tensors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorsError {
    /// It takes tokens.
    #[error("the model takes tokens, not tensors: generate with it")]
    Tokens,
    /// A name or shape that a request cannot have, or too many of them.
    #[error(
        "{name:?}: a model has at most {MAX_TENSORS} inputs and outputs, names of at most {MAX_NAME_BYTES} bytes that differ, and shapes of at most {MAX_DIMENSIONS} dimensions"
    )]
    Interface {
        /// The input or output.
        name: String,
    },
    /// A matrix does not fit.
    #[error(transparent)]
    Linear(#[from] LinearError),
}

/// How an input of a request becomes the value of a step.
#[derive(Debug)]
struct Given {
    /// Its place among the request's inputs, which are sorted by name.
    place: usize,
    /// The type of the step that reads it; `None` if none does.
    of: Option<Type>,
    form: InputForm,
}

/// A model of tensors.
#[derive(Debug)]
pub struct ExactTensors {
    ready: Arc<Ready>,
    description: ModelDescription,
    inputs: Vec<Given>,
    /// For each output of a response, which are sorted by name, the program's output.
    outputs: Vec<usize>,
    /// Whether the first extent of everything is that of a batch.
    batched: bool,
    idle: Mutex<Vec<Executor>>,
}

impl ExactTensors {
    /// Makes a model ready, with the best kernels.
    ///
    /// # Errors
    /// [`TensorsError`] if it takes tokens, or has names or shapes that requests cannot have.
    pub fn new(model: Arc<Model>) -> Result<Self, TensorsError> {
        Self::with_kernels(model, Kernels::best())
    }

    /// As [`Self::new`], with other kernels.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_kernels(model: Arc<Model>, kernels: Kernels) -> Result<Self, TensorsError> {
        let program = model.program();
        if program.vocabulary > 0 {
            return Err(TensorsError::Tokens);
        }
        let batched = is_batched(program);
        let description = describe(program, batched)?;
        let place = |name: &str| {
            description
                .inputs
                .iter()
                .position(|input| input.name == name)
        };
        let inputs = program
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| Given {
                place: place(&input.name).unwrap_or(0),
                of: read_as(program, index),
                form: input.form.clone(),
            });
        let inputs = inputs.collect();
        let named = |name: &str| {
            program
                .outputs
                .iter()
                .position(|output| output.name == name)
        };
        let outputs = description
            .outputs
            .iter()
            .filter_map(|output| named(&output.name))
            .collect();
        Ok(Self {
            ready: Arc::new(Ready::new(model.clone(), kernels)?),
            description,
            inputs,
            outputs,
            batched,
            idle: Mutex::default(),
        })
    }

    /// The model made ready.
    pub fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }

    fn executor(&self) -> Executor {
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| {
            let settings = Settings {
                threads: 1,
                // Sequences have one position each, so a block is enough for each entry that is computed at once.
                cache_bytes: usize::MAX,
                keeps_prefixes: false,
            };
            Executor::new(self.ready.clone(), &settings)
        })
    }

    /// Values of the program's inputs for one entry of a request.
    ///
    /// # Errors
    /// [`RunError`] if there is no such entry.
    pub fn values(&self, inputs: &[Tensor], entry: usize) -> Result<Vec<Value>, RunError> {
        self.inputs
            .iter()
            .map(|given| {
                let (Some(of), Some(tensor)) = (&given.of, inputs.get(given.place)) else {
                    return Ok(Value::Index(vec![]));
                };
                value(of, &given.form, tensor, entry)
            })
            .collect()
    }

    fn entries(&self, inputs: &[Tensor]) -> Result<usize, RunError> {
        if !self.batched {
            return Ok(1);
        }
        let mut counts = inputs
            .iter()
            .map(|input| input.shape.first().copied().unwrap_or(1) as usize);
        let first = counts.next().unwrap_or(1);
        if counts.any(|count| count != first) {
            return Err(RunError::Model(
                "inputs differ in their first extent".to_owned(),
            ));
        }
        let each: usize = self
            .outputs
            .iter()
            .map(|output| self.output_bytes(*output))
            .sum();
        if first.saturating_mul(each) > MAX_PAYLOAD_BYTES {
            return Err(RunError::TooLarge);
        }
        Ok(first)
    }

    fn output_bytes(&self, output: usize) -> usize {
        let program = self.ready.model().program();
        let of = &program.steps[program.outputs[output].step as usize].output;
        of.elements() * element_type(of).width_bytes()
    }

    fn compute(
        &self,
        executor: &mut Executor,
        inputs: &[Tensor],
    ) -> Result<Vec<Vec<u8>>, RunError> {
        let entries = self.entries(inputs)?;
        let mut data: Vec<Vec<u8>> = vec![vec![]; self.outputs.len()];
        for start in (0..entries).step_by(ENTRIES_AT_ONCE) {
            let end = (start + ENTRIES_AT_ONCE).min(entries);
            let values =
                (start..end).map(|entry| self.values(inputs, entry).map(|values| [values]));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let spans: Vec<Span<'_>> = values
                .iter()
                .map(|inputs| Span {
                    sequence: executor.begin(&[], false).0,
                    tokens: &[],
                    inputs,
                    wanted: 0..1,
                    traced: false,
                })
                .collect();
            let result = executor.forward(&spans, None);
            spans.iter().for_each(|span| executor.end(span.sequence));
            result.map_err(|error| RunError::Model(error.to_string()))?;
            for (output, data) in self.outputs.iter().zip(&mut data) {
                for row in 0..end - start {
                    if let (Some(of), Some(value)) = (
                        executor.ready().output_type(*output),
                        executor.output(*output, row),
                    ) {
                        write(of, value, data);
                    }
                }
            }
        }
        Ok(data)
    }
}

impl ExactTensors {
    /// Computes the outputs, sorted by name.
    ///
    /// # Errors
    /// [`RunError`]: the inputs do not fit, or the model failed on them.
    pub fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.description.check_inputs(inputs)?;
        let mut executor = self.executor();
        let result = self.compute(&mut executor, inputs);
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(executor);
        }
        drop(idle);
        let entries = self.entries(inputs)? as u32;
        let outputs = self.description.outputs.iter().zip(result?);
        let tensors = outputs.map(|(output, data)| Tensor {
            name: output.name.clone(),
            element_type: output.element_type,
            shape: output
                .shape
                .iter()
                .map(|extent| extent.unwrap_or(entries))
                .collect(),
            data: data.into(),
        });
        Ok(tensors.collect())
    }
}

impl Backend for ExactTensors {
    fn computed(&self) -> Computed {
        Computed::Exact
    }

    fn describe(&self) -> &ModelDescription {
        &self.description
    }

    fn run(self: Arc<Self>, inputs: Vec<Tensor>, _seed: u64, _pieces: Pieces) -> Run {
        Box::pin(compute(move || self.infer(&inputs)))
    }
}

/// The type of the step that reads an input.
fn read_as(program: &Program, input: usize) -> Option<Type> {
    let step = program
        .steps
        .iter()
        .find(|step| step.operation == Operation::Input(input as u32));
    step.map(|step| step.output.clone())
}

fn is_batched(program: &Program) -> bool {
    let inputs = program.inputs.iter().map(|input| &input.shape);
    let mut all = inputs.chain(program.outputs.iter().map(|output| &output.shape));
    all.all(|shape| shape.first() == Some(&1))
}

/// The type of the elements of an output.
fn element_type(of: &Type) -> ElementType {
    if of.form == Form::Index {
        ElementType::I64
    } else {
        ElementType::F32
    }
}

fn describe(program: &Program, batched: bool) -> Result<ModelDescription, TensorsError> {
    let shape_of = |shape: &[u32]| -> Vec<Option<u32>> {
        let extents = shape.iter().enumerate();
        extents
            .map(|(axis, extent)| (axis > 0 || !batched).then_some(*extent))
            .collect()
    };
    let inputs = program.inputs.iter().map(|input| TensorDescription {
        name: input.name.clone(),
        element_type: match input.form {
            InputForm::Numbers | InputForm::Ranks(_) => ElementType::F32,
            InputForm::Indices => ElementType::I64,
        },
        shape: shape_of(&input.shape),
    });
    let outputs = program.outputs.iter().map(|output| TensorDescription {
        name: output.name.clone(),
        element_type: element_type(&program.steps[output.step as usize].output),
        shape: shape_of(&output.shape),
    });
    Ok(ModelDescription {
        inputs: sorted(inputs.collect())?,
        outputs: sorted(outputs.collect())?,
    })
}

fn sorted(mut tensors: Vec<TensorDescription>) -> Result<Vec<TensorDescription>, TensorsError> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let twice = tensors
        .windows(2)
        .find(|pair| pair[0].name == pair[1].name)
        .map(|pair| &pair[0]);
    let wrong = tensors
        .iter()
        .find(|tensor| tensor.name.len() > MAX_NAME_BYTES || tensor.shape.len() > MAX_DIMENSIONS);
    let many = tensors.get(MAX_TENSORS);
    match twice.or(wrong).or(many) {
        Some(tensor) => Err(TensorsError::Interface {
            name: tensor.name.chars().take(MAX_NAME_BYTES).collect(),
        }),
        None => Ok(tensors),
    }
}

/// The value of an input, from the elements of one entry.
fn value(of: &Type, form: &InputForm, tensor: &Tensor, entry: usize) -> Result<Value, RunError> {
    let count = of.elements();
    let width = tensor.element_type.width_bytes();
    let data = tensor
        .data
        .get(entry * count * width..(entry + 1) * count * width);
    let data =
        data.ok_or_else(|| RunError::Model("an input is shorter than its shape".to_owned()))?;
    Ok(match form {
        InputForm::Numbers => {
            let Form::Fixed { bits, exponents } = &of.form else {
                return Err(RunError::Model(
                    "an input is read as no fixed numbers".to_owned(),
                ));
            };
            let part = of.width as usize / exponents.len();
            let place = |index: usize| exponents[index % of.width as usize / part];
            let floats = elements(data, f32::from_le_bytes).enumerate();
            Value::Rows {
                mantissas: floats
                    .map(|(index, x)| mantissa_of(x, place(index), *bits))
                    .collect(),
                exponents: exponents.repeat(of.rows as usize),
            }
        }
        InputForm::Ranks(columns) => {
            let floats = elements(data, f32::from_le_bytes).enumerate();
            Value::Index(
                floats
                    .map(|(index, x)| rank_of(x, &columns[index % columns.len()]))
                    .collect(),
            )
        }
        InputForm::Indices => {
            let integers = elements(data, i64::from_le_bytes).map(integer_of);
            let indices: Option<Vec<u32>> = integers.collect();
            Value::Index(
                indices.ok_or_else(|| {
                    RunError::Model("an index is negative or beyond 2^32".to_owned())
                })?,
            )
        }
    })
}

/// Appends a value as a response has it.
fn write(of: &Type, value: ValueRef<'_>, data: &mut Vec<u8>) {
    data.extend(
        value
            .indices
            .iter()
            .flat_map(|index| i64::from(*index).to_le_bytes()),
    );
    let part = of.width as usize / of.parts();
    let parts = value.mantissas.chunks(part.max(1)).zip(value.exponents);
    for (mantissas, exponent) in parts {
        data.extend(
            mantissas
                .iter()
                .flat_map(|m| float_of(*m, *exponent).to_le_bytes()),
        );
    }
}

mod bytes_of {
    //! Little-endian elements.

    /// The elements of `data`, one by one.
    pub(super) fn elements<T, const WIDTH: usize>(
        data: &[u8],
        element: fn([u8; WIDTH]) -> T,
    ) -> impl Iterator<Item = T> {
        data.as_chunks().0.iter().map(move |bytes| element(*bytes))
    }
}
