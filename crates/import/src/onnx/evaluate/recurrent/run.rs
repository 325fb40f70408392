//! Runs recurrent layers, and sees what ranges values inside them have.

use super::{Cell, Recurrent};
use crate::onnx::{
    Fault,
    evaluate::matrix::multiply,
    graph::Node,
    tensor::{Tensor, count},
};

/// What a recurrent node gives, and all that its lowering needs to know the ranges of.
pub(crate) struct Trace {
    /// The node's outputs: Y, Y_h and Y_c.
    pub(crate) outputs: Vec<Tensor>,
    /// Largest magnitude of the inputs' part before activation.
    pub(crate) input_part: f32,
    /// Of the state's part.
    pub(crate) state_part: f32,
    /// Of their sum.
    pub(crate) sum: f32,
    /// Of the cell state.
    pub(crate) cell: f32,
    /// Of the state.
    pub(crate) state: f32,
}

impl Trace {
    /// Takes in the ranges of another run.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.input_part = self.input_part.max(other.input_part);
        self.state_part = self.state_part.max(other.state_part);
        self.sum = self.sum.max(other.sum);
        self.cell = self.cell.max(other.cell);
        self.state = self.state.max(other.state);
    }
}

/// Computes a recurrent node.
pub(crate) fn evaluate(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Trace, Fault> {
    let x = crate::onnx::evaluate::needed(inputs, 0)?;
    let (w, r) = (
        crate::onnx::evaluate::needed(inputs, 1)?,
        crate::onnx::evaluate::needed(inputs, 2)?,
    );
    let spec = Recurrent::read(node, &x.shape, &w.shape)?;
    let given = |index: usize| inputs.get(index).copied().flatten();
    if let Some(lengths) = given(4)
        && lengths
            .ints()?
            .iter()
            .any(|length| *length != spec.sequence as i64)
    {
        return Err(Fault::Unsupported(
            "sequences shorter than the input are not converted",
        ));
    }
    let (h, directions) = (spec.hidden, spec.backwards.len());
    let mut all = vec![0.0; count(&[spec.sequence, directions, h])?];
    let (mut last, mut last_cell) = (vec![], vec![]);
    let mut seen = Seen::default();
    for direction in 0..directions {
        let mut run = Run::new(node, &spec, direction, [w, r], given(3))?;
        run.state = start(given(5), direction, h)?;
        run.memory = start(given(6).filter(|_| spec.gates == 4), direction, h)?;
        for time in spec.times(direction) {
            run.step(
                &x.floats()?[time * spec.features..][..spec.features],
                &mut seen,
            );
            all[(time * directions + direction) * h..][..h].copy_from_slice(&run.state);
        }
        last.extend(run.state);
        last_cell.extend(run.memory);
    }
    let [y, y_h, y_c] = spec.shapes();
    let outputs = vec![
        Tensor::float(y, all)?,
        Tensor::float(y_h, last)?,
        Tensor::float(y_c, last_cell)?,
    ];
    let [input_part, state_part, sum, cell, state] = seen.0;
    Ok(Trace {
        outputs,
        input_part,
        state_part,
        sum,
        cell,
        state,
    })
}

/// The first state of a direction.
fn start(tensor: Option<&Tensor>, direction: usize, hidden: usize) -> Result<Vec<f32>, Fault> {
    let Some(tensor) = tensor else {
        return Ok(vec![0.0; hidden]);
    };
    let part = tensor
        .floats()?
        .get(direction * hidden..(direction + 1) * hidden);
    part.map(<[f32]>::to_vec)
        .ok_or_else(|| Fault::Shape("its first state has another shape".into()))
}

/// Largest magnitudes, in the order of [`Trace`]'s fields.
#[derive(Default)]
struct Seen([f32; 5]);

impl Seen {
    fn extend(&mut self, index: usize, values: &[f32]) {
        self.0[index] = values
            .iter()
            .fold(self.0[index], |most, x| most.max(x.abs()));
    }
}

/// One direction while it runs.
struct Run {
    gates: usize,
    hidden: usize,
    reset_after: bool,
    functions: Vec<Box<dyn Fn(f32) -> f32>>,
    /// Transposed weights, so that rows are inputs.
    weights: Vec<f32>,
    recurrence: Vec<f32>,
    cell: Cell,
    state: Vec<f32>,
    memory: Vec<f32>,
}

impl Run {
    fn new(
        node: &Node,
        spec: &Recurrent,
        direction: usize,
        [w, r]: [&Tensor; 2],
        bias: Option<&Tensor>,
    ) -> Result<Self, Fault> {
        let (hidden, rows) = (spec.hidden, spec.gates * spec.hidden);
        let mut cell = spec.cell(direction, w, r, bias)?;
        let transposed = |values: Vec<f32>, columns: usize| {
            Ok::<_, Fault>(
                Tensor::float(vec![rows, columns], values)?
                    .transposed(&[1, 0])?
                    .to_floats(),
            )
        };
        let weights = transposed(std::mem::take(&mut cell.input), spec.features)?;
        let recurrence = transposed(std::mem::take(&mut cell.state), hidden)?;
        let functions = spec.activations[direction]
            .iter()
            .map(crate::onnx::evaluate::functions::function);
        Ok(Self {
            gates: spec.gates,
            hidden,
            reset_after: node.int("linear_before_reset", 0) != 0,
            functions: functions.collect::<Result<_, _>>()?,
            weights,
            recurrence,
            cell,
            state: vec![],
            memory: vec![],
        })
    }

    /// The state's part of all gates.
    fn recur(&self, state: &[f32]) -> Vec<f32> {
        let mut part = multiply(
            1,
            self.hidden,
            self.gates * self.hidden,
            state,
            &self.recurrence,
        );
        add(&mut part, &self.cell.state_bias);
        part
    }

    fn step(&mut self, x: &[f32], seen: &mut Seen) {
        let mut a = multiply(1, x.len(), self.gates * self.hidden, x, &self.weights);
        add(&mut a, &self.cell.input_bias);
        let b = self.recur(&self.state);
        seen.extend(0, &a);
        if self.gates == 3 {
            self.gru(&a, &b, seen);
        } else {
            seen.extend(1, &b);
            add(&mut a, &b);
            seen.extend(2, &a);
            self.lstm_or_simple(&a);
            seen.extend(3, &self.memory);
        }
        seen.extend(4, &self.state);
    }

    fn lstm_or_simple(&mut self, sums: &[f32]) {
        let (h, functions) = (self.hidden, &self.functions);
        for i in 0..h {
            if self.gates == 1 {
                self.state[i] = functions[0](sums[i]);
                continue;
            }
            let gate = |index: usize| functions[0](sums[index * h + i]);
            self.memory[i] = gate(2) * self.memory[i] + gate(0) * functions[1](sums[3 * h + i]);
            self.state[i] = gate(1) * functions[2](self.memory[i]);
        }
    }

    fn gru(&mut self, a: &[f32], b: &[f32], seen: &mut Seen) {
        let h = self.hidden;
        let sums: Vec<f32> = (0..2 * h).map(|i| a[i] + b[i]).collect();
        let gates: Vec<f32> = sums.iter().map(|sum| self.functions[0](*sum)).collect();
        let (update, reset) = gates.split_at(h);
        let part: Vec<f32> = if self.reset_after {
            seen.extend(1, b);
            reset
                .iter()
                .zip(&b[2 * h..])
                .map(|(reset, part)| reset * part)
                .collect()
        } else {
            let kept: Vec<f32> = reset
                .iter()
                .zip(&self.state)
                .map(|(reset, state)| reset * state)
                .collect();
            let part = self.recur(&kept)[2 * h..].to_vec();
            seen.extend(1, &b[..2 * h]);
            seen.extend(1, &part);
            part
        };
        let inner: Vec<f32> = a[2 * h..]
            .iter()
            .zip(&part)
            .map(|(a, part)| a + part)
            .collect();
        seen.extend(2, &sums);
        seen.extend(2, &inner);
        for i in 0..h {
            self.state[i] =
                (1.0 - update[i]) * self.functions[1](inner[i]) + update[i] * self.state[i];
        }
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
