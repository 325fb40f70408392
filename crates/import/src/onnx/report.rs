//! How near a program is to its float original: the interpreter beside the evaluator, on samples.

use super::{
    calibrate::{ENDLESS, MASKED},
    evaluate::Values,
    graph::Graph,
    lower::Lowered,
    tensor::{Data, Tensor},
};
use og_program::{
    interpret::{InputError, Interpreter, PositionInput},
    matrix::Weights,
    numbers::clamp_mantissa,
    program::{InputForm, Program},
    value::{Form, Type, Value},
};
use serde::Serialize;

/// One tensor of the original beside its step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerQuality {
    /// The node that gives it.
    pub name: String,
    /// The node's operator.
    pub operator: String,
    /// The step that holds it.
    pub step: u32,
    /// Root of the sum of squared errors over the sum of squares, over all samples.
    pub relative_error: f64,
    /// Elements that were beyond the step's range and clamped; elements that stand for infinity are among them.
    pub clamped: u64,
    /// Elements compared.
    pub elements: u64,
    /// Whether only softmaxes read it: then errors count as they are, not beside its size.
    pub scores: bool,
}

/// An output of the original beside that of the program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputQuality {
    /// Its name.
    pub name: String,
    /// The cosine of the angle between all its values and the original's; 1 for indices.
    pub cosine: f64,
    /// The largest difference.
    pub largest_error: f64,
    /// Of the rows, the share whose greatest element stands at the same place; of indices, the share that is equal.
    /// `None` for rows of one element.
    pub agreement: Option<f64>,
}

/// How near a program is to its original.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OnnxReport {
    /// Samples on which ranges were measured.
    pub calibrated: usize,
    /// Samples on which the two were compared.
    pub compared: usize,
    /// Whether samples were generated because none were given: ranges are then guesses.
    pub generated: bool,
    /// Tensors in the order in which they are computed.
    pub layers: Vec<LayerQuality>,
    /// Outputs.
    pub outputs: Vec<OutputQuality>,
    /// What else whoever publishes the program should know.
    pub notes: Vec<String>,
}

/// The value of a request's input: each float rounded to a multiple of the type's unit, halves going up, and clamped.
pub(crate) fn encode(form: &InputForm, of: &Type, tensor: &Tensor) -> Value {
    match (form, &of.form, &tensor.data) {
        (InputForm::Numbers, Form::Fixed { bits, exponents }, Data::Float(values)) => {
            let part = of.width as usize / exponents.len().max(1);
            let exponent = |at: usize| exponents[at % of.width as usize / part];
            let mantissas = values.iter().enumerate().map(|(at, value)| {
                let scaled = (f64::from(*value) * 2f64.powi(-exponent(at)) + 0.5).floor();
                clamp_mantissa(scaled as i64, *bits)
            });
            Value::Rows {
                mantissas: mantissas.collect(),
                exponents: exponents.repeat(of.rows as usize),
            }
        }
        (InputForm::Ranks(columns), _, Data::Float(values)) => {
            let rank = |(at, value): (usize, &f32)| {
                let thresholds = &columns[at % columns.len().max(1)];
                thresholds.partition_point(|bits| f32::from_bits(*bits) <= *value) as u32
            };
            Value::Index(values.iter().enumerate().map(rank).collect())
        }
        (_, _, Data::Int(values)) => Value::Index(
            values
                .iter()
                .map(|value| u32::try_from(*value).unwrap_or(0))
                .collect(),
        ),
        _ => Value::zero(of),
    }
}

/// A step's value as floats.
pub(crate) fn decode(of: &Type, value: &Value) -> Vec<f64> {
    let part = of.width as usize / of.parts().max(1);
    match value {
        Value::Index(indices) => indices.iter().map(|index| f64::from(*index)).collect(),
        Value::Rows {
            mantissas,
            exponents,
        } => mantissas
            .iter()
            .enumerate()
            .map(|(at, mantissa)| f64::from(*mantissa) * 2f64.powi(exponents[at / part]))
            .collect(),
    }
}

/// Runs a program once; `inputs` are in its order.
pub(crate) fn interpret<'a>(
    program: &'a Program,
    bytes: &'a [Vec<u8>],
    inputs: Vec<Value>,
) -> Result<Interpreter<'a>, InputError> {
    let weights = program
        .matrices
        .iter()
        .zip(bytes)
        .filter_map(|(matrix, bytes)| Weights::new(matrix, bytes));
    let mut interpreter = Interpreter::new(program, weights.collect())?;
    interpreter.extend(&[PositionInput { token: 0, inputs }])?;
    Ok(interpreter)
}

/// Values of each input of a program, from a sample of the graph's inputs.
pub(crate) fn request(lowered: &Lowered, sample: &[Tensor]) -> Vec<Value> {
    let program = &lowered.builder.program;
    let inputs = lowered.inputs.iter().zip(&program.inputs).enumerate();
    let value =
        |(place, (input, definition)): (usize, (&usize, &og_program::program::InputDefinition))| {
            let reads = |step: &&og_program::program::StepDefinition| {
                step.operation == og_program::operation::Operation::Input(place as u32)
            };
            let step = program.steps.iter().find(reads)?;
            Some(encode(&definition.form, &step.output, sample.get(*input)?))
        };
    inputs.filter_map(value).collect()
}

/// Sums over samples of what is compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    error: f64,
    original: f64,
    own: f64,
    product: f64,
    largest: f64,
    elements: u64,
    agreeing: u64,
    rows: u64,
}

impl Sums {
    /// Takes in more values. What is not below `limit` stands for infinity and is not compared.
    pub(crate) fn extend(&mut self, original: &[f32], own: &[f64], width: usize, limit: f32) {
        for (x, y) in original.iter().zip(own) {
            let x = f64::from(*x);
            if !x.is_finite() || x.abs() >= f64::from(limit) {
                continue;
            }
            self.error += (x - y).powi(2);
            self.original += x * x;
            self.own += y * y;
            self.product += x * y;
            self.largest = self.largest.max((x - y).abs());
            self.elements += 1;
        }
        if width > 1 {
            let greatest = |row: &mut dyn Iterator<Item = f64>| {
                let mut best = (f64::NEG_INFINITY, 0);
                for (index, x) in row.enumerate() {
                    if x > best.0 {
                        best = (x, index);
                    }
                }
                best.1
            };
            for (x, y) in original.chunks_exact(width).zip(own.chunks_exact(width)) {
                self.rows += 1;
                let same = greatest(&mut x.iter().map(|x| f64::from(*x)))
                    == greatest(&mut y.iter().copied());
                self.agreeing += u64::from(same);
            }
        }
    }

    /// Takes in more indices.
    pub(crate) fn extend_indices(&mut self, original: &[f32], own: &[f64]) {
        for (x, y) in original.iter().zip(own) {
            self.rows += 1;
            self.agreeing += u64::from(f64::from(*x) == *y);
            self.largest = self.largest.max((f64::from(*x) - y).abs());
        }
    }

    pub(crate) fn relative_error(&self) -> f64 {
        if self.original > 0.0 {
            (self.error / self.original).sqrt()
        } else {
            self.error.sqrt()
        }
    }

    /// What they say of an output.
    pub(crate) fn output(&self, name: &str) -> OutputQuality {
        let lengths = (self.original * self.own).sqrt();
        OutputQuality {
            name: name.to_owned(),
            cosine: if lengths > 0.0 {
                self.product / lengths
            } else {
                1.0
            },
            largest_error: self.largest,
            agreement: (self.rows > 0).then(|| self.agreeing as f64 / self.rows as f64),
        }
    }
}

/// A comparison in the making.
pub(crate) struct Comparison {
    layers: Vec<Sums>,
    outputs: Vec<Sums>,
    clamped: Vec<u64>,
    samples: usize,
}

impl Comparison {
    pub(crate) fn new(lowered: &Lowered) -> Self {
        let program = &lowered.builder.program;
        Self {
            layers: vec![Sums::default(); lowered.held.len()],
            outputs: vec![Sums::default(); program.outputs.len()],
            clamped: vec![0; program.steps.len()],
            samples: 0,
        }
    }

    /// Runs one sample and takes it in; `values` are the original's.
    pub(crate) fn extend(
        &mut self,
        graph: &Graph,
        lowered: &Lowered,
        sample: &[Tensor],
        values: &Values,
    ) -> Result<(), InputError> {
        let program = &lowered.builder.program;
        let run = interpret(program, &lowered.builder.bytes, request(lowered, sample))?;
        let own = |step: u32| decode(&program.steps[step as usize].output, run.computed(step, 0));
        for (sums, shown) in self.layers.iter_mut().zip(&lowered.held) {
            let held = &shown.held;
            let Some(original) = values.get(shown.id).and_then(Option::as_ref) else {
                continue;
            };
            let value = own(held.step);
            let places = super::tensor::walk(&held.shape, &held.strides, held.offset);
            let own: Vec<f64> = places
                .iter()
                .filter_map(|at| value.get(*at).copied())
                .collect();
            let limit = if shown.scores { MASKED } else { ENDLESS };
            sums.extend(&original.to_floats(), &own, 1, limit);
        }
        for (sums, (id, output)) in self
            .outputs
            .iter_mut()
            .zip(graph.outputs.iter().zip(&program.outputs))
        {
            let original = values
                .get(*id)
                .and_then(Option::as_ref)
                .or_else(|| graph.constants.get(id));
            let Some(original) = original else { continue };
            let own = own(output.step);
            if program.steps[output.step as usize].output.form == Form::Index {
                sums.extend_indices(&original.to_floats(), &own);
            } else {
                sums.extend(
                    &original.to_floats(),
                    &own,
                    original.shape.last().copied().unwrap_or(1),
                    ENDLESS,
                );
            }
        }
        for (sum, clamped) in self.clamped.iter_mut().zip(run.clamped()) {
            *sum += clamped;
        }
        self.samples += 1;
        Ok(())
    }

    /// The report, without what is not of the comparison.
    pub(crate) fn report(self, lowered: &Lowered) -> OnnxReport {
        let layers = self
            .layers
            .iter()
            .zip(&lowered.held)
            .map(|(sums, shown)| LayerQuality {
                name: shown.name.clone(),
                operator: shown.operator.clone(),
                step: shown.held.step,
                relative_error: sums.relative_error(),
                clamped: self
                    .clamped
                    .get(shown.held.step as usize)
                    .copied()
                    .unwrap_or(0),
                elements: sums.elements,
                scores: shown.scores,
            });
        let outputs = self.outputs.iter().zip(&lowered.builder.program.outputs);
        OnnxReport {
            compared: self.samples,
            layers: layers.collect(),
            outputs: outputs
                .map(|(sums, output)| sums.output(&output.name))
                .collect(),
            ..OnnxReport::default()
        }
    }
}
