//! What runs a program exactly: the interpreter, or anything as exact and faster.

use og_program::{
    interpret::{Interpreter, PositionInput},
    matrix::Weights,
    operation::Step,
    program::Program,
    value::Value,
};

/// Why a program cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program cannot be run: {0}")]
pub struct RunError(pub String);

/// One text that is run through a program.
pub trait ExactRun {
    /// Adds positions.
    ///
    /// # Errors
    /// [`RunError`] if the program does not take these tokens or so many.
    fn extend(&mut self, tokens: &[u32]) -> Result<(), RunError>;

    /// The value of a step at a position that was added.
    ///
    /// # Errors
    /// [`RunError`] if it was not computed or not kept.
    fn value(&self, step: Step, position: usize) -> Result<Value, RunError>;

    /// For each step, how many of its elements were clamped so far.
    fn clamped(&self) -> Vec<u64>;
}

/// The slow reference.
pub struct InterpreterRun<'a>(Interpreter<'a>, usize);

impl<'a> InterpreterRun<'a> {
    /// Begins a run.
    ///
    /// # Errors
    /// [`RunError`] if the bytes are not the matrices'.
    pub fn new(program: &'a Program, matrices: &'a [Vec<u8>]) -> Result<Self, RunError> {
        let pairs = program.matrices.iter().zip(matrices);
        let weights: Option<Vec<Weights<'a>>> = pairs
            .map(|(matrix, bytes)| Weights::new(matrix, bytes))
            .collect();
        let weights = weights.ok_or_else(|| {
            RunError("a matrix has not as many bytes as its shape says".to_owned())
        })?;
        let interpreter =
            Interpreter::new(program, weights).map_err(|error| RunError(error.to_string()))?;
        Ok(Self(interpreter, 0))
    }
}

impl ExactRun for InterpreterRun<'_> {
    fn extend(&mut self, tokens: &[u32]) -> Result<(), RunError> {
        let inputs = tokens.iter().map(|token| PositionInput {
            token: *token,
            inputs: vec![],
        });
        let inputs: Vec<PositionInput> = inputs.collect();
        self.0
            .extend(&inputs)
            .map_err(|error| RunError(error.to_string()))?;
        self.1 += tokens.len();
        Ok(())
    }

    fn value(&self, step: Step, position: usize) -> Result<Value, RunError> {
        if position >= self.1 || step as usize >= self.0.clamped().len() {
            return Err(RunError(format!(
                "step {step} at position {position} was not computed"
            )));
        }
        Ok(self.0.computed(step, position).clone())
    }

    fn clamped(&self) -> Vec<u64> {
        self.0.clamped().to_vec()
    }
}
