//! The slow and exact way to run a program: the specification's executable form.
//!
//! [`Interpreter::value`] computes a step's whole output at a position, [`Interpreter::element`] any one element of it
//! alone. Both go through the same functions: each operation prepares a row (its exponents, and the sums, maxima and
//! roots that all its elements share) and then gives any element of it.

mod attend;
mod choice;
mod elements;
mod spatial;

use crate::{
    matrix::Weights,
    numbers::{align, clamp_mantissa},
    operation::{Operation, Step},
    program::{Program, StepDefinition},
    value::{Type, Value, WideRow, finish, joint_exponent},
};

/// A row of an operation's result before rounding: exponents of its parts, and its elements, each computed alone.
pub(crate) struct Row<'a> {
    /// Exponent of each equal part.
    exponents: Vec<i32>,
    /// Elements.
    width: usize,
    /// Gives the element at a column.
    element: Box<dyn Fn(usize) -> i64 + 'a>,
}

impl<'a> Row<'a> {
    fn new(width: usize, exponent: i32, element: impl Fn(usize) -> i64 + 'a) -> Self {
        Self {
            exponents: vec![exponent],
            width,
            element: Box::new(element),
        }
    }

    fn wide(&self) -> WideRow {
        WideRow {
            values: (0..self.width)
                .map(|column| (self.element)(column))
                .collect(),
            exponents: self.exponents.clone(),
        }
    }
}

/// What a request gives at one position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionInput {
    /// The token, if the program takes tokens.
    pub token: u32,
    /// The value of each of the program's inputs.
    pub inputs: Vec<Value>,
}

/// Why a program is not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// More positions than its widths are proven for.
    #[error("{positions} positions are more than the program's {most}")]
    Positions {
        /// With those that there are.
        positions: usize,
        /// The program's.
        most: u32,
    },
    /// A token that it does not know.
    #[error("token {token} is not one of the program's {vocabulary}")]
    Token {
        /// Which.
        token: u32,
        /// Tokens that it knows.
        vocabulary: u32,
    },
    /// An input that is missing or of another type.
    #[error("input {0} is missing or has another shape, exponent or range than the program takes")]
    Value(u32),
    /// As many weights as the program has matrices, each with its bytes, were not given.
    #[error("the weights are not those of the program's matrices")]
    Weights,
}

/// A program with its weights and all that it computed so far.
pub struct Interpreter<'a> {
    program: &'a Program,
    weights: Vec<Weights<'a>>,
    inputs: Vec<PositionInput>,
    /// `history[position][step]`.
    history: Vec<Vec<Value>>,
    clamped: Vec<u64>,
}

/// Where an operand is read: a step's value at a position.
pub(crate) struct Operand<'a> {
    of: &'a Type,
    value: &'a Value,
}

impl<'a> Operand<'a> {
    fn row(&self, row: usize) -> &'a [i16] {
        let width = self.of.width as usize;
        &self.value.mantissas()[row * width..][..width]
    }

    fn indices(&self, row: usize) -> &'a [u32] {
        let width = self.of.width as usize;
        &self.value.indices()[row * width..][..width]
    }

    fn exponents(&self, row: usize) -> &'a [i32] {
        let parts = self.of.parts();
        &self.value.exponents()[row * parts..][..parts]
    }

    /// The exponent of a column of a row.
    fn exponent(&self, row: usize, column: usize) -> i32 {
        self.exponents(row)[column / (self.of.width as usize / self.of.parts())]
    }
}

impl<'a> Interpreter<'a> {
    /// Begins a run of a checked program, with checked weights of all its matrices in their order.
    ///
    /// # Errors
    /// [`InputError::Weights`] if these are the weights of other matrices.
    pub fn new(program: &'a Program, weights: Vec<Weights<'a>>) -> Result<Self, InputError> {
        let given = weights.iter().map(|weights| weights.matrix);
        if !given.eq(program.matrices.iter()) {
            return Err(InputError::Weights);
        }
        let clamped = vec![0; program.steps.len()];
        Ok(Self {
            program,
            weights,
            inputs: vec![],
            history: vec![],
            clamped,
        })
    }

    /// Adds positions and computes all steps there. A program that is not causal sees all of them at
    /// once: everything is computed anew.
    ///
    /// # Errors
    /// [`InputError`] if the program does not take these inputs or so many positions; nothing is computed then.
    pub fn extend(&mut self, inputs: &[PositionInput]) -> Result<(), InputError> {
        self.check_inputs(inputs)?;
        let first = if self.program.causal {
            self.inputs.len()
        } else {
            0
        };
        self.inputs.extend_from_slice(inputs);
        self.history.truncate(first);
        self.history.resize(self.inputs.len(), vec![]);
        let positions = first..self.inputs.len();
        if self.program.causal {
            for position in positions {
                self.compute(position, 0..self.program.steps.len());
            }
        } else {
            for step in 0..self.program.steps.len() {
                for position in positions.clone() {
                    self.compute(position, step..step + 1);
                }
            }
        }
        Ok(())
    }

    fn check_inputs(&self, inputs: &[PositionInput]) -> Result<(), InputError> {
        let positions = self.inputs.len() + inputs.len();
        if positions > self.program.positions as usize {
            let most = self.program.positions;
            return Err(InputError::Positions { positions, most });
        }
        for input in inputs {
            let vocabulary = self.program.vocabulary;
            if vocabulary > 0 && input.token >= vocabulary {
                let token = input.token;
                return Err(InputError::Token { token, vocabulary });
            }
            for definition in &self.program.steps {
                let Operation::Input(index) = definition.operation else {
                    continue;
                };
                let value = input.inputs.get(index as usize);
                if !value.is_some_and(|value| value.fits(&definition.output)) {
                    return Err(InputError::Value(index));
                }
            }
        }
        Ok(())
    }

    fn compute(&mut self, position: usize, steps: std::ops::Range<usize>) {
        for step in steps {
            let (value, clamped) = self.value(step as Step, position);
            self.clamped[step] += clamped;
            self.history[position].push(value);
        }
    }

    /// The value of a step that was computed.
    pub fn computed(&self, step: Step, position: usize) -> &Value {
        &self.history[position][step as usize]
    }

    /// How many elements of each step were out of range and clamped, over all positions so far.
    pub fn clamped(&self) -> &[u64] {
        &self.clamped
    }

    fn definition(&self, step: Step) -> &'a StepDefinition {
        &self.program.steps[step as usize]
    }

    fn operand(&self, step: Step, position: usize) -> Operand<'_> {
        Operand {
            of: &self.definition(step).output,
            value: self.computed(step, position),
        }
    }

    /// The output of a step at a position, whose operands are computed, and how many of its elements were clamped.
    pub fn value(&self, step: Step, position: usize) -> (Value, u64) {
        let definition = self.definition(step);
        let of = &definition.output;
        if let Some(value) = self.moved(definition, position) {
            return (value, 0);
        }
        let rows = (0..of.rows as usize).map(|row| self.row(definition, position, row).wide());
        finish(rows.collect(), of)
    }

    /// One element of a step's output before rounding, and its exponent (0 for an index). Where the output has fewer parts
    /// than the operation gives, at the exponent of the part that they are joined to.
    pub fn element(&self, step: Step, position: usize, row: usize, column: usize) -> (i64, i32) {
        let definition = self.definition(step);
        let of = &definition.output;
        if let Some(value) = self.moved(definition, position) {
            let operand = Operand { of, value: &value };
            return match &value {
                Value::Index(_) => (i64::from(operand.indices(row)[column]), 0),
                Value::Rows { .. } => {
                    let mantissa = i64::from(operand.row(row)[column]);
                    (mantissa, operand.exponent(row, column))
                }
            };
        }
        let row = self.row(definition, position, row);
        let (have, want) = (row.exponents.len(), of.parts());
        let from = row.exponents[column / (row.width / have)];
        let value = (row.element)(column);
        if want >= have {
            return (value, from);
        }
        let part = column / (row.width / want);
        let to = joint_exponent(&row.exponents[part * (have / want)..][..have / want]);
        (align(value, from, to), to)
    }

    /// The mantissa at a row and column of a step's output whose part has the exponent `exponent`: what a dispute about
    /// one element computes. (That the exponent is right is another claim: about the part's greatest magnitude.)
    pub fn mantissa(
        &self,
        step: Step,
        position: usize,
        [row, column]: [usize; 2],
        exponent: i32,
    ) -> i16 {
        let (value, from) = self.element(step, position, row, column);
        let bits = self.definition(step).output.bits();
        clamp_mantissa(align(value, from, exponent), bits)
    }

    /// What is moved or chosen, not computed: the value as it is.
    fn moved(&self, definition: &StepDefinition, position: usize) -> Option<Value> {
        let of = &definition.output;
        Some(match &definition.operation {
            Operation::Token => Value::Index(vec![self.inputs[position].token]),
            Operation::Position => Value::Index(vec![position as u32]),
            Operation::Input(input) => self.inputs[position].inputs[*input as usize].clone(),
            Operation::Delay(input) => match position.checked_sub(1) {
                Some(before) => self.computed(*input, before).clone(),
                None => Value::zero(of),
            },
            Operation::Constant(vector) => {
                let vector = &self.program.vectors[*vector as usize];
                let times = of.elements() / vector.mantissas.len();
                Value::Rows {
                    mantissas: vector.mantissas.repeat(times),
                    exponents: vec![vector.exponent; of.rows as usize],
                }
            }
            Operation::Rectify(input) => {
                let value = self.computed(*input, position);
                let mantissas = value.mantissas().iter().map(|m| (*m).max(0)).collect();
                Value::Rows {
                    mantissas,
                    exponents: value.exponents().to_vec(),
                }
            }
            Operation::View {
                input,
                offset,
                axes,
            } => spatial::view(self.computed(*input, position), of, *offset, axes),
            Operation::Join(inputs) => {
                spatial::join(inputs.iter().map(|step| self.computed(*step, position)), of)
            }
            Operation::Largest(input) => choice::largest(&self.operand(*input, position)),
            Operation::Choose { input, count } => {
                choice::choose(&self.operand(*input, position), *count as usize)
            }
            Operation::Take { input, indices } => choice::take(
                &self.operand(*input, position),
                &self.operand(*indices, position),
            ),
            _ => return None,
        })
    }

    fn row<'s>(&'s self, definition: &'s StepDefinition, position: usize, row: usize) -> Row<'s> {
        let program = self.program;
        let vector = |index: u32| &program.vectors[index as usize];
        let table = |index: u32| &program.tables[index as usize];
        let weights = |index: u32| self.weights[index as usize];
        let operand = |step: Step| self.operand(step, position);
        match &definition.operation {
            Operation::Embed { input, matrix } => {
                elements::embed(weights(*matrix), operand(*input).indices(row)[0])
            }
            Operation::Linear {
                input,
                matrix,
                bias,
            } => {
                let input = operand(*input);
                elements::linear(
                    weights(*matrix),
                    input.row(row),
                    input.exponent(row, 0),
                    bias.map(vector),
                )
            }
            Operation::Expert {
                input,
                choice,
                column,
                matrices,
            } => {
                let (input, choice) = (operand(*input), operand(*choice));
                let named = choice.indices(row)[*column as usize] as usize;
                let matrix = matrices[named.min(matrices.len() - 1)];
                elements::linear(
                    weights(matrix),
                    input.row(row),
                    input.exponent(row, 0),
                    None,
                )
            }
            Operation::Add { left, right } => elements::add(operand(*left), operand(*right), row),
            Operation::Multiply { left, right } => {
                elements::multiply(operand(*left), operand(*right), row)
            }
            Operation::RootMeanSquare {
                input,
                gain,
                epsilon,
                parts,
            } => elements::root_mean_square(
                operand(*input),
                row,
                vector(*gain),
                *epsilon,
                *parts as usize,
            ),
            Operation::Centre(input) => elements::centre(operand(*input), row),
            Operation::Rotate {
                input,
                heads,
                rotation,
            } => {
                let sine = vector(rotation.sine);
                elements::rotate(
                    operand(*input),
                    row,
                    *heads as usize,
                    rotation,
                    sine,
                    position as u64,
                )
            }
            Operation::Gate {
                input,
                other,
                table: function,
            } => elements::gate(operand(*input), other.map(operand), table(*function), row),
            Operation::Lookup {
                input,
                table: function,
            } => elements::lookup(operand(*input), table(*function), row),
            Operation::Cast(input) => elements::cast(operand(*input), row),
            Operation::Softmax {
                input,
                exponent,
                scale,
                weights,
            } => elements::softmax(operand(*input), row, *exponent, *scale, vector(*weights)),
            Operation::Reduce { input, reduction } => {
                elements::reduce(operand(*input), row, *reduction)
            }
            Operation::Attend {
                queries,
                keys,
                values,
                attention,
            } => self.attend(position, row, [*queries, *keys, *values], attention),
            Operation::Convolve {
                input,
                matrix,
                bias,
                window,
                groups,
            } => {
                let (input, bias) = (operand(*input), bias.map(vector));
                spatial::convolve(input, weights(*matrix), bias, window, *groups as usize, row)
            }
            Operation::Pool {
                input,
                pooling,
                window,
            } => spatial::pool(operand(*input), *pooling, window, row),
            Operation::Product { left, right } => {
                spatial::product(operand(*left), operand(*right), row)
            }
            Operation::Trees {
                input,
                nodes,
                roots,
                exponent,
            } => {
                let width = definition.output.width as usize;
                choice::trees(operand(*input), nodes, roots, *exponent, width, row)
            }
            // Those that `moved` gives: no row is asked of them.
            _ => Row::new(definition.output.width as usize, 0, |_| 0),
        }
    }
}

#[cfg(test)]
mod tests;
