//! A whole program: steps, constants, matrices, what goes in and what comes out.

use crate::{
    matrix::Matrix,
    operation::{Operation, Step, Table, Vector},
    value::Type,
};
use minicbor::{Decode, Encode};

/// Version of the specification that a program follows.
pub const VERSION: u32 = 1;

/// One operation, the type of its output, and a name for people.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StepDefinition {
    /// Where it came from: a layer, a node of the original graph.
    #[n(0)]
    pub name: String,
    /// What it computes.
    #[n(1)]
    pub operation: Operation,
    /// Type of what it gives.
    #[n(2)]
    pub output: Type,
}

/// How numbers of a request become the value of an `Input` step.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum InputForm {
    /// Each 32-bit float is rounded to the nearest multiple of the step's exponent, halves going up, and clamped.
    #[n(0)]
    Numbers,
    /// Each 32-bit float becomes the number of its column's thresholds that are less than or equal to it. The
    /// thresholds are bits of floats, ascending. No precision is lost.
    #[n(1)]
    Ranks(
        #[n(0)]
        #[cbor(with = "crate::encoding::columns")]
        Vec<Vec<u32>>,
    ),
    /// Each integer is taken as it is.
    #[n(2)]
    Indices,
}

/// One input of a request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct InputDefinition {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Its shape in requests; the product is the elements of the step that reads it.
    #[n(1)]
    pub shape: Vec<u32>,
    /// What its numbers become.
    #[n(2)]
    pub form: InputForm,
}

/// One output of a request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OutputDefinition {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Its shape in responses.
    #[n(1)]
    pub shape: Vec<u32>,
    /// The step whose value it is.
    #[n(2)]
    pub step: Step,
}

/// A model as integers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Program {
    /// Version of the specification, [`VERSION`].
    #[n(0)]
    pub version: u32,
    /// Whether a position sees only itself and earlier ones.
    #[n(1)]
    pub causal: bool,
    /// Positions that it may be run over.
    #[n(2)]
    pub positions: u32,
    /// Tokens that it knows; 0 if it takes none.
    #[n(3)]
    pub vocabulary: u32,
    /// What requests give.
    #[n(4)]
    pub inputs: Vec<InputDefinition>,
    /// What responses hold. A language model has one, its logits.
    #[n(5)]
    pub outputs: Vec<OutputDefinition>,
    /// In the order in which they are computed.
    #[n(6)]
    pub steps: Vec<StepDefinition>,
    /// Constants.
    #[n(7)]
    pub vectors: Vec<Vector>,
    /// Functions.
    #[n(8)]
    pub tables: Vec<Table>,
    /// Weights.
    #[n(9)]
    pub matrices: Vec<Matrix>,
}
