//! What can be wrong with a file.

use super::graph::{MAX_MODEL_BYTES, MAX_NODES, shorten};
use og_program::check::ProgramError;

/// Why a file cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file is larger than a model may be.
    #[error("the file has {0} bytes: at most {max} are allowed", max = MAX_MODEL_BYTES)]
    TooLarge(usize),
    /// The graph has more nodes than a model may have.
    #[error("the graph has {0} nodes: at most {max} are allowed", max = MAX_NODES)]
    TooManyNodes(usize),
    /// One run holds more elements than a program may have.
    #[error("one run of the model holds more than {0} elements: make its inputs smaller")]
    TooManyElements(usize),
    /// One run multiplies more often than the options allow.
    #[error(
        "one run of the model needs more than {0} multiplications: allow more, or make its inputs smaller"
    )]
    TooMuchWork(u64),
    /// It would become more steps than a program may have.
    #[error("the program would have more than 65,536 steps: shorten its sequences")]
    TooManySteps,
    /// Not ONNX, or a graph without sense.
    #[error("not an ONNX model that can be read: {0}")]
    NotOnnx(String),
    /// Operators of a version that is not read.
    #[error(
        "the model uses version {0} of the operators: 7 to 25 are read (onnx.version_converter helps)"
    )]
    Opset(i64),
    /// An operator, or an attribute of it, that is not converted.
    #[error("node {node:?}: {operator} cannot be converted: {hint}")]
    Unsupported {
        /// Which node.
        node: String,
        /// Its operator.
        operator: String,
        /// What to do.
        hint: String,
    },
    /// A node whose shapes or attributes do not go together.
    #[error("node {node:?}: {operator}: {reason}")]
    Node {
        /// Which node.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        reason: String,
    },
    /// An input that a program cannot take.
    #[error("input {name:?} {reason}")]
    Input {
        /// Which.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Calibration data that do not go with the model.
    #[error("calibration data: {0}")]
    Calibration(String),
    /// The program does not pass its checks.
    #[error("the converted program is refused: {0}")]
    Program(#[from] ProgramError),
    /// The reader or the evaluator failed in a way that it should not.
    #[error("the model cannot be converted: {0}")]
    Unusable(String),
}

/// What is wrong with a node, before it is known which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not converted; a hint.
    Unsupported(&'static str),
    /// Without sense.
    Shape(String),
}

impl Fault {
    pub(crate) fn at(self, operator: &str, node: &str) -> OnnxError {
        let (node, operator) = (shorten(node), shorten(operator));
        match self {
            Self::Unsupported(hint) => OnnxError::Unsupported {
                node,
                operator,
                hint: hint.to_owned(),
            },
            Self::Shape(reason) => OnnxError::Node {
                node,
                operator,
                reason,
            },
        }
    }
}
