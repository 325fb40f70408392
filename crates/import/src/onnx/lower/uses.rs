//! Who reads a tensor, and what that says about how it is kept.

use crate::onnx::{
    evaluate::{Values, elementwise::is_elementwise},
    graph::{Graph, Id, Node},
};

/// What is known of every tensor from its readers and its origin.
pub(super) struct Uses {
    /// The tensor of which it is a function, element by element: itself if it is no such function.
    root: Vec<Id>,
    /// Whether only matrices read it, directly or through what keeps its form.
    operand: Vec<bool>,
    /// Whether only softmaxes read it.
    scores: Vec<bool>,
    used: Vec<bool>,
    /// The node that gives it.
    producer: Vec<Option<usize>>,
    /// Largest magnitude that it can have whatever the input, if there is one.
    bound: Vec<Option<f64>>,
    index: Vec<bool>,
}

/// Operators that keep the form of their first input.
fn keeps_form(operator: &str) -> bool {
    matches!(
        operator,
        "Identity"
            | "Dropout"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Transpose"
            | "Slice"
            | "Split"
            | "Expand"
            | "Tile"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "Resize"
            | "Upsample"
            | "MaxPool"
            | "Concat"
            | "Pad"
            | "Gather"
            | "GatherND"
    )
}

impl Uses {
    pub(super) fn of(graph: &Graph, values: &Values) -> Self {
        let count = graph.names.len();
        let mut uses = Self {
            root: (0..count).collect(),
            operand: vec![false; count],
            scores: vec![false; count],
            used: vec![false; count],
            producer: vec![None; count],
            bound: vec![None; count],
            index: vec![false; count],
        };
        for input in &graph.inputs {
            uses.index[input.id] = !input.float;
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            for output in node.outputs.iter().flatten() {
                uses.producer[*output] = Some(index);
            }
            uses.origin(graph, values, node);
        }
        uses.readers(graph);
        uses
    }

    fn origin(&mut self, graph: &Graph, values: &Values, node: &Node) {
        let Some(output) = node.outputs.first().copied().flatten() else {
            return;
        };
        self.bound[output] = match node.operator.as_str() {
            "Softmax" | "Sigmoid" | "Tanh" | "HardSigmoid" | "Erf" => Some(1.0),
            "Concat" | "Pad" => None,
            operator if keeps_form(operator) => node.input(0).and_then(|id| self.bound[id]),
            _ => None,
        };
        let first = node.input(0);
        self.index[output] = match node.operator.as_str() {
            "ArgMax" | "ArgMin" => true,
            "Cast" => {
                let whole = values[output]
                    .as_ref()
                    .is_some_and(|tensor| !tensor.is_float());
                whole && first.is_some_and(|id| self.index[id]) && node.int("to", 1) != 9
            }
            operator if keeps_form(operator) => first.is_some_and(|id| self.index[id]),
            _ => false,
        };
        for more in node.outputs.iter().skip(1).flatten() {
            (self.index[*more], self.bound[*more]) = (self.index[output], self.bound[output]);
        }
        if let Some(root) = self.root_of(graph, node) {
            self.root[output] = root;
        }
    }

    /// The tensor of which a node's output is a function: all inputs but single constants are functions of it.
    fn root_of(&self, graph: &Graph, node: &Node) -> Option<Id> {
        if !is_elementwise(&node.operator) || node.operator == "Identity" {
            return None;
        }
        let mut root = None;
        for id in node.inputs.iter().flatten() {
            match graph.constants.get(id) {
                Some(constant) if constant.len() == 1 => {}
                Some(_) => return None,
                None if root.is_none_or(|root| root == self.root[*id]) => {
                    root = Some(self.root[*id])
                }
                None => return None,
            }
        }
        root
    }

    fn readers(&mut self, graph: &Graph) {
        let count = graph.names.len();
        let (mut operand, mut scores) = (vec![true; count], vec![true; count]);
        for id in &graph.outputs {
            self.used[*id] = true;
            (operand[*id], scores[*id]) = (false, false);
        }
        for node in graph.nodes.iter().rev() {
            let through = keeps_form(&node.operator) || self.is_function(node);
            let given = node.outputs.iter().flatten();
            let all = |of: &[bool]| given.clone().all(|id| of[*id]);
            let (as_operand, as_scores) = (all(&operand), all(&scores));
            for (place, id) in node.inputs.iter().enumerate() {
                let Some(id) = id else { continue };
                self.used[*id] = true;
                let constant = |place: usize| {
                    node.input(place)
                        .is_some_and(|id| graph.constants.contains_key(&id))
                };
                let by_matrix = match node.operator.as_str() {
                    "MatMul" | "Gemm" => constant(0) || constant(1),
                    "Conv" | "LSTM" | "GRU" | "RNN" => place == 0,
                    _ => false,
                };
                operand[*id] &= by_matrix || (through && as_operand);
                scores[*id] &= match node.operator.as_str() {
                    "Softmax" | "LogSoftmax" => true,
                    _ => keeps_form(&node.operator) && as_scores,
                };
            }
        }
        (self.operand, self.scores) = (operand, scores);
    }

    /// Whether a node is a function of one tensor's elements, to be lowered where its result is needed.
    pub(super) fn is_function(&self, node: &Node) -> bool {
        node.outputs
            .first()
            .copied()
            .flatten()
            .is_some_and(|id| self.root[id] != id)
    }

    /// The tensor of which it is a function.
    pub(super) fn root(&self, id: Id) -> Id {
        self.root[id]
    }

    /// The node that gives it; none gives inputs and constants.
    pub(super) fn producer(&self, id: Id) -> Option<usize> {
        self.producer[id]
    }

    pub(super) fn is_operand(&self, id: Id) -> bool {
        self.operand[id] && self.used[id]
    }

    pub(super) fn is_scores(&self, id: Id) -> bool {
        self.scores[id] && self.used[id]
    }

    pub(super) fn is_used(&self, id: Id) -> bool {
        self.used[id]
    }

    pub(super) fn is_index(&self, id: Id) -> bool {
        self.index[id]
    }

    pub(super) fn bound(&self, id: Id) -> Option<f64> {
        self.bound[id]
    }
}
