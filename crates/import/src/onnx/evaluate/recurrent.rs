//! Recurrent layers: LSTM, GRU and the simple one, unrolled over a sequence of fixed length.

use super::matrix::multiply;
use crate::onnx::{Fault, graph::Node, tensor::Tensor};

/// Steps of a sequence, at most: each becomes steps of a program.
const MAX_SEQUENCE: usize = 2048;

/// A recurrent node whose shapes fit. Batches hold one sequence.
pub(crate) struct Recurrent {
    /// Gates of a cell: 4, 3 or 1.
    pub(crate) gates: usize,
    /// Steps of the sequence.
    pub(crate) sequence: usize,
    /// Elements of one step.
    pub(crate) features: usize,
    /// Elements of the state.
    pub(crate) hidden: usize,
    /// For each direction, whether it runs backwards.
    pub(crate) backwards: Vec<bool>,
    /// Activation functions of each direction, as nodes of one number.
    pub(crate) activations: Vec<Vec<Node>>,
    /// Whether batches come first.
    pub(crate) batch_first: bool,
}

/// Weights of one direction.
pub(crate) struct Cell {
    /// `gates · hidden` rows of `features`.
    pub(crate) input: Vec<f32>,
    /// `gates · hidden` rows of `hidden`.
    pub(crate) state: Vec<f32>,
    /// Added with the input.
    pub(crate) input_bias: Vec<f32>,
    /// Added with the state.
    pub(crate) state_bias: Vec<f32>,
}

impl Recurrent {
    /// Reads a node. `shape` is its input's, `weights` that of its second input.
    pub(crate) fn read(node: &Node, shape: &[usize], weights: &[usize]) -> Result<Self, Fault> {
        let gates = match node.operator.as_str() {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let batch_first = node.int("layout", 0) != 0;
        let (sequence, features) = match (batch_first, shape) {
            (false, [sequence, 1, features]) | (true, [1, sequence, features]) => {
                (*sequence, *features)
            }
            _ => {
                return Err(Fault::Unsupported(
                    "takes one sequence at a time: export with batch 1",
                ));
            }
        };
        let backwards = match node.text("direction", "forward") {
            "forward" => vec![false],
            "reverse" => vec![true],
            "bidirectional" => vec![false, true],
            _ => return Err(Fault::Shape("its direction is none that ONNX knows".into())),
        };
        let hidden = match weights {
            [directions, rows, width]
                if *directions == backwards.len() && *width == features && rows % gates == 0 =>
            {
                rows / gates
            }
            _ => return Err(Fault::Shape("its weights do not go with its input".into())),
        };
        let declared = usize::try_from(node.int("hidden_size", hidden as i64)).ok();
        if declared != Some(hidden) || hidden == 0 || features == 0 {
            return Err(Fault::Shape(
                "its hidden_size is not that of its weights".into(),
            ));
        }
        if sequence == 0 || sequence > MAX_SEQUENCE {
            return Err(Fault::Unsupported(
                "sequences of 1 to 2048 steps are converted",
            ));
        }
        if node.number("clip", 0.0) != 0.0 || node.int("input_forget", 0) != 0 {
            return Err(Fault::Unsupported(
                "clip and input_forget are not converted",
            ));
        }
        if node.operator == "LSTM" && node.input(7).is_some() {
            return Err(Fault::Unsupported("peepholes are not converted"));
        }
        let activations = activations(node, backwards.len())?;
        Ok(Self {
            gates,
            sequence,
            features,
            hidden,
            backwards,
            activations,
            batch_first,
        })
    }

    /// The weights of a direction; `weights`, `recurrence` and `bias` are the node's second to fourth inputs.
    pub(crate) fn cell(
        &self,
        direction: usize,
        weights: &Tensor,
        recurrence: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Cell, Fault> {
        let rows = self.gates * self.hidden;
        let part = |tensor: &Tensor, length: usize| {
            let all = tensor.floats()?;
            let from = direction * length;
            let part = all.get(from..from + length).map(<[f32]>::to_vec);
            part.filter(|_| all.len() == length * self.backwards.len())
                .ok_or_else(|| Fault::Shape("its weights do not go together".into()))
        };
        let bias = match bias {
            Some(bias) => part(bias, 2 * rows)?,
            None => vec![0.0; 2 * rows],
        };
        Ok(Cell {
            input: part(weights, rows * self.features)?,
            state: part(recurrence, rows * self.hidden)?,
            input_bias: bias[..rows].to_vec(),
            state_bias: bias[rows..].to_vec(),
        })
    }

    /// Shapes of the outputs: all states, the last state, and the last cell state.
    pub(crate) fn shapes(&self) -> [Vec<usize>; 3] {
        let (s, d, h) = (self.sequence, self.backwards.len(), self.hidden);
        if self.batch_first {
            [vec![1, s, d, h], vec![1, d, h], vec![1, d, h]]
        } else {
            [vec![s, d, 1, h], vec![d, 1, h], vec![d, 1, h]]
        }
    }

    /// The times of a direction in the order in which it visits them.
    pub(crate) fn times(&self, direction: usize) -> Vec<usize> {
        let mut times: Vec<usize> = (0..self.sequence).collect();
        if self.backwards[direction] {
            times.reverse();
        }
        times
    }
}

fn activations(node: &Node, directions: usize) -> Result<Vec<Vec<Node>>, Fault> {
    let default: &[&str] = match node.operator.as_str() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    let named = node.texts("activations");
    if node
        .floats("activation_alpha")
        .is_some_and(|alphas| !alphas.is_empty())
    {
        return Err(Fault::Unsupported(
            "activations with parameters are not converted",
        ));
    }
    if !named.is_empty() && named.len() != default.len() * directions {
        return Err(Fault::Shape(
            "it names another number of activations".into(),
        ));
    }
    let name = |direction: usize, index: usize| match named.get(direction * default.len() + index) {
        Some(name) => name.as_str(),
        None => default[index],
    };
    (0..directions)
        .map(|direction| {
            let each = (0..default.len()).map(|index| match name(direction, index) {
                known @ ("Sigmoid" | "Tanh" | "HardSigmoid" | "Softsign") => {
                    Ok(Node::made(known, known, vec![], 0))
                }
                "Relu" if node.operator == "RNN" => Ok(Node::made("Relu", "Relu", vec![], 0)),
                // Their results are within ±1, which the program relies on.
                _ => Err(Fault::Unsupported(
                    "its activations must be Sigmoid, Tanh, HardSigmoid or Softsign (or Relu, for an RNN)",
                )),
            });
            each.collect()
        })
        .collect()
}

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
    let (x, w, r) = (
        super::needed(inputs, 0)?,
        super::needed(inputs, 1)?,
        super::needed(inputs, 2)?,
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
    let (h, rows) = (spec.hidden, spec.gates * spec.hidden);
    let directions = spec.backwards.len();
    let mut all = vec![0.0; spec.sequence * directions * h];
    let (mut last, mut last_cell) = (vec![], vec![]);
    let mut ranges = [0.0_f32; 5];
    let mut seen = |index: usize, values: &[f32]| {
        let largest = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        ranges[index] = ranges[index].max(largest);
    };
    for direction in 0..directions {
        let cell = spec.cell(direction, w, r, given(3))?;
        let weights = Tensor::float(vec![rows, spec.features], cell.input)?.transposed(&[1, 0])?;
        let recurrence = Tensor::float(vec![rows, h], cell.state)?.transposed(&[1, 0])?;
        let functions = spec.activations[direction]
            .iter()
            .map(super::elementwise::function)
            .collect::<Result<Vec<_>, _>>()?;
        let start = |tensor: Option<&Tensor>| match tensor {
            Some(tensor) => Ok(tensor
                .floats()?
                .get(direction * h..(direction + 1) * h)
                .map(<[f32]>::to_vec))
            .and_then(|part| {
                part.ok_or_else(|| Fault::Shape("its first state has another shape".into()))
            }),
            None => Ok(vec![0.0; h]),
        };
        let (mut state, mut memory) = (
            start(given(5))?,
            start(given(6).filter(|_| spec.gates == 4))?,
        );
        let reset_after = node.int("linear_before_reset", 0) != 0;
        for time in spec.times(direction) {
            let step = &x.floats()?[time * spec.features..][..spec.features];
            let mut a = multiply(1, spec.features, rows, step, weights.floats()?);
            add(&mut a, &cell.input_bias);
            let mut b = multiply(1, h, rows, &state, recurrence.floats()?);
            add(&mut b, &cell.state_bias);
            seen(0, &a);
            match spec.gates {
                4 => {
                    seen(1, &b);
                    add(&mut a, &b);
                    seen(2, &a);
                    for i in 0..h {
                        let (input, output, forget) = (
                            functions[0](a[i]),
                            functions[0](a[h + i]),
                            functions[0](a[2 * h + i]),
                        );
                        memory[i] = forget * memory[i] + input * functions[1](a[3 * h + i]);
                        state[i] = output * functions[2](memory[i]);
                    }
                    seen(3, &memory);
                }
                3 => {
                    let gate = |at: usize| functions[0](a[at] + b[at]);
                    let reset: Vec<f32> = (0..h).map(|i| gate(h + i)).collect();
                    let inner: Vec<f32> = if reset_after {
                        seen(1, &b);
                        (0..h)
                            .map(|i| a[2 * h + i] + reset[i] * b[2 * h + i])
                            .collect()
                    } else {
                        let kept: Vec<f32> = reset.iter().zip(&state).map(|(r, s)| r * s).collect();
                        let mut part = multiply(1, h, rows, &kept, recurrence.floats()?);
                        add(&mut part, &cell.state_bias);
                        seen(1, &part[2 * h..]);
                        seen(1, &b[..2 * h]);
                        (0..h).map(|i| a[2 * h + i] + part[2 * h + i]).collect()
                    };
                    let sums: Vec<f32> = (0..2 * h).map(|i| a[i] + b[i]).collect();
                    seen(2, &sums);
                    seen(2, &inner);
                    for i in 0..h {
                        let update = gate(i);
                        state[i] = (1.0 - update) * functions[1](inner[i]) + update * state[i];
                    }
                }
                _ => {
                    seen(1, &b);
                    add(&mut a, &b);
                    seen(2, &a);
                    for i in 0..h {
                        state[i] = functions[0](a[i]);
                    }
                }
            }
            seen(4, &state);
            all[(time * directions + direction) * h..][..h].copy_from_slice(&state);
        }
        last.extend(state);
        last_cell.extend(memory);
    }
    let [y, y_h, y_c] = spec.shapes();
    let outputs = vec![
        Tensor::float(y, all)?,
        Tensor::float(y_h, last)?,
        Tensor::float(y_c, last_cell)?,
    ];
    let [input_part, state_part, sum, cell, state] = ranges;
    Ok(Trace {
        outputs,
        input_part,
        state_part,
        sum,
        cell,
        state,
    })
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
