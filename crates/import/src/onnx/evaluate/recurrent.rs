//! Recurrent layers: LSTM, GRU and the simple one, unrolled over a sequence of fixed length.

mod run;

pub(crate) use run::{Trace, evaluate};

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
