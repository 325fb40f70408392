//! The graph of an ONNX file: nodes, constants, inputs and outputs.

mod read;

pub(crate) use read::read;

use super::{Fault, tensor::Tensor};
use std::collections::BTreeMap;

/// Largest file, in bytes.
pub const MAX_MODEL_BYTES: usize = 1 << 31;
/// Most nodes of a graph.
pub const MAX_NODES: usize = 1 << 14;
/// Operator sets that are read.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 7..=25;
/// Characters of a name that are kept.
const MAX_NAME: usize = 128;

/// Which tensor of a graph.
pub(crate) type Id = usize;

/// An attribute of a node.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    /// A number.
    Float(f32),
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Numbers.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
    /// A constant.
    Tensor(Tensor),
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name, or that of its output.
    pub(crate) name: String,
    /// Its operator, `ai.onnx.ml.` before it if it is of that domain.
    pub(crate) operator: String,
    /// What it reads; `None` where an optional input is left out.
    pub(crate) inputs: Vec<Option<Id>>,
    /// What it gives; `None` where nobody asked.
    pub(crate) outputs: Vec<Option<Id>>,
    attributes: BTreeMap<String, Attribute>,
}

/// An input of the graph.
#[derive(Clone, Debug)]
pub(crate) struct GraphInput {
    /// The tensor.
    pub(crate) id: Id,
    /// Its extents, unknown ones bound.
    pub(crate) shape: Vec<usize>,
    /// Whether its elements are floats.
    pub(crate) float: bool,
}

/// A graph.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// Names of tensors.
    pub(crate) names: Vec<String>,
    /// Nodes, in an order in which they can be computed.
    pub(crate) nodes: Vec<Node>,
    /// Constants.
    pub(crate) constants: BTreeMap<Id, Tensor>,
    /// Inputs.
    pub(crate) inputs: Vec<GraphInput>,
    /// Outputs.
    pub(crate) outputs: Vec<Id>,
    /// Version of the operators of the default domain.
    pub(crate) opset: i64,
}

impl Node {
    /// A node that conversion makes.
    pub(crate) fn made(name: &str, operator: &str, inputs: Vec<Option<Id>>, output: Id) -> Self {
        Self {
            name: name.to_owned(),
            operator: operator.to_owned(),
            inputs,
            outputs: vec![Some(output)],
            attributes: BTreeMap::new(),
        }
    }

    /// Sets an attribute.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: Attribute) -> Self {
        self.attributes.insert(name.to_owned(), value);
        self
    }

    /// An input that is there.
    pub(crate) fn input(&self, index: usize) -> Option<Id> {
        self.inputs.get(index).copied().flatten()
    }

    /// The first output.
    pub(crate) fn output(&self) -> Result<Id, Fault> {
        let first = self.outputs.first().copied().flatten();
        first.ok_or_else(|| Fault::Shape("gives nothing".into()))
    }

    /// An integer attribute.
    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        match self.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            _ => default,
        }
    }

    /// A number.
    pub(crate) fn number(&self, name: &str, default: f32) -> f32 {
        match self.attributes.get(name) {
            Some(Attribute::Float(value)) => *value,
            Some(Attribute::Int(value)) => *value as f32,
            _ => default,
        }
    }

    /// A text.
    pub(crate) fn text(&self, name: &str, default: &'static str) -> &str {
        match self.attributes.get(name) {
            Some(Attribute::Text(value)) => value,
            _ => default,
        }
    }

    /// Texts.
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        match self.attributes.get(name) {
            Some(Attribute::Texts(values)) => values,
            _ => &[],
        }
    }

    /// Integers.
    pub(crate) fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(values)) => Some(values),
            _ => None,
        }
    }

    /// Numbers: a list, or those of a tensor (the wide variants of tree attributes).
    pub(crate) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        match self.attributes.get(name) {
            Some(Attribute::Floats(values)) => Some(values.clone()),
            Some(Attribute::Tensor(tensor)) => Some(tensor.to_floats()),
            _ => None,
        }
    }

    /// A constant.
    pub(crate) fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.attributes.get(name) {
            Some(Attribute::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }
}

/// The beginning of a text that may be hostile, on one line.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(MAX_NAME)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
