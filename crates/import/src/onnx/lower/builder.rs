//! A program in the making: steps, and constants that are kept once.

use crate::{
    onnx::Fault,
    quantise::{Quantisation, Quantised, quantise},
    tensor::Tensor as Weights,
};
use og_program::{
    numbers::mantissa_max,
    operation::{MatrixIndex, Operation, Step, Table, TableIndex, Vector, VectorIndex},
    program::{Program, StepDefinition, VERSION},
    value::{Form, Type},
};
use std::collections::HashMap;

/// Tables of a program, at most: far more than models have.
const MAX_TABLES: usize = 4096;
/// Exponents of values stay within this.
const EXPONENTS: std::ops::RangeInclusive<i32> = -200..=200;
/// Larger constants stand for infinity: masks of attention. They are clamped.
pub(crate) const ENDLESS: f32 = 1e9;
/// What they are clamped to.
pub(crate) const CLAMPED: f32 = 65_536.0;

/// A program in the making.
pub(crate) struct Builder {
    /// What there is of it.
    pub(crate) program: Program,
    /// The bytes of its matrices.
    pub(crate) bytes: Vec<Vec<u8>>,
    quantisation: Quantisation,
    /// Whether each matrix is followed by one of what it lacks.
    precise: bool,
    vectors: HashMap<(Vec<i16>, i32), VectorIndex>,
    tables: HashMap<(i32, Vec<i16>, i32), TableIndex>,
}

/// A fixed type with one exponent.
pub(crate) fn plain(rows: usize, width: usize, bits: u8, exponent: i32) -> Type {
    let form = Form::Fixed {
        bits,
        exponents: vec![exponent],
    };
    Type {
        rows: rows as u32,
        width: width as u32,
        form,
    }
}

/// A type with an exponent for each row, found from its values.
pub(crate) fn scaled(rows: usize, width: usize, bits: u8) -> Type {
    let form = Form::Scaled { bits, parts: 1 };
    Type {
        rows: rows as u32,
        width: width as u32,
        form,
    }
}

/// Indices.
pub(crate) fn index(rows: usize, width: usize) -> Type {
    Type {
        rows: rows as u32,
        width: width as u32,
        form: Form::Index,
    }
}

/// The exponent of a fixed type with one, 0 for others.
pub(crate) fn exponent_of(of: &Type) -> i32 {
    match &of.form {
        Form::Fixed { exponents, .. } => exponents.first().copied().unwrap_or(0),
        _ => 0,
    }
}

/// The least exponent at which `largest` fits mantissas of `bits` bits.
pub(crate) fn exponent_for(largest: f64, bits: u8) -> i32 {
    let limit = f64::from(mantissa_max(bits));
    let mut exponent = (largest / limit).log2().ceil().clamp(-300.0, 300.0) as i32;
    // The logarithm may be off by its last bit.
    while exponent < 300 && limit * 2f64.powi(exponent) < largest {
        exponent += 1;
    }
    if largest > 0.0 {
        exponent.clamp(*EXPONENTS.start(), *EXPONENTS.end())
    } else {
        1 - i32::from(bits)
    }
}

/// A number as a mantissa at an exponent, clamped; what is no number is 0.
pub(crate) fn mantissa(value: f32, exponent: i32, bits: u8) -> i16 {
    let limit = f64::from(mantissa_max(bits));
    let scaled = (f64::from(value) * 2f64.powi(-exponent)).round();
    if scaled.is_nan() {
        0
    } else {
        scaled.clamp(-limit, limit) as i16
    }
}

impl Builder {
    /// An empty program of one position.
    pub(crate) fn new(quantisation: Quantisation, precise: bool) -> Self {
        let program = Program {
            version: VERSION,
            causal: true,
            positions: 1,
            vocabulary: 0,
            inputs: vec![],
            outputs: vec![],
            steps: vec![],
            vectors: vec![],
            tables: vec![],
            matrices: vec![],
        };
        Self {
            program,
            bytes: vec![],
            quantisation,
            precise,
            vectors: HashMap::new(),
            tables: HashMap::new(),
        }
    }

    /// Adds a step.
    pub(crate) fn step(&mut self, name: &str, operation: Operation, output: Type) -> Step {
        let name = name.to_owned();
        self.program.steps.push(StepDefinition {
            name,
            operation,
            output,
        });
        (self.program.steps.len() - 1) as Step
    }

    /// A step's type.
    pub(crate) fn of(&self, step: Step) -> &Type {
        &self.program.steps[step as usize].output
    }

    /// A vector, kept once.
    pub(crate) fn vector(&mut self, mantissas: Vec<i16>, exponent: i32) -> VectorIndex {
        let vectors = &mut self.program.vectors;
        *self
            .vectors
            .entry((mantissas, exponent))
            .or_insert_with_key(|(mantissas, exponent)| {
                vectors.push(Vector {
                    mantissas: mantissas.clone(),
                    exponent: *exponent,
                });
                (vectors.len() - 1) as VectorIndex
            })
    }

    /// A vector of floats, in 16 bits.
    pub(crate) fn vector_of(&mut self, values: &[f32]) -> VectorIndex {
        let largest = values
            .iter()
            .fold(0.0_f64, |most, x| most.max(f64::from(x.abs())));
        // Zeros get the least exponent, so that sums with them keep theirs.
        let exponent = if largest > 0.0 {
            exponent_for(largest, 16)
        } else {
            *EXPONENTS.start()
        };
        let mantissas = values
            .iter()
            .map(|value| mantissa(*value, exponent, 16))
            .collect();
        self.vector(mantissas, exponent)
    }

    /// A step that gives floats, in 16 bits. What stands for infinity is clamped.
    pub(crate) fn constant(
        &mut self,
        name: &str,
        rows: usize,
        width: usize,
        values: &[f32],
    ) -> Step {
        let clamp = |x: &f32| {
            if x.abs() >= ENDLESS {
                CLAMPED.copysign(*x)
            } else {
                *x
            }
        };
        let values: Vec<f32> = values.iter().map(clamp).collect();
        let vector = self.vector_of(&values);
        let exponent = self.program.vectors[vector as usize].exponent;
        self.step(
            name,
            Operation::Constant(vector),
            plain(rows, width, 16, exponent),
        )
    }

    /// The points of a type's mantissas, or of a coarser grid if there would be more than `2^bits`.
    pub(crate) fn points(from: &Type, bits: u8) -> Vec<f32> {
        let bits = bits.min(from.bits());
        let grid = exponent_of(from) + i32::from(from.bits() - bits);
        let half = 1_i32 << (bits - 1);
        (-half..half)
            .map(|index| (f64::from(index) * 2f64.powi(grid)) as f32)
            .collect()
    }

    /// A table of a function's values at those points; entries have the exponent and bits of `to`.
    pub(crate) fn table(
        &mut self,
        from: &Type,
        bits: u8,
        to: &Type,
        values: &[f32],
    ) -> Result<TableIndex, Fault> {
        let bits = bits.min(from.bits());
        let grid = exponent_of(from) + i32::from(from.bits() - bits);
        let exponent = exponent_of(to);
        let entries: Vec<i16> = values
            .iter()
            .map(|value| mantissa(*value, exponent, to.bits()))
            .collect();
        if entries.len() != 1 << bits {
            return Err(Fault::Shape(
                "its function gives another number of values".into(),
            ));
        }
        let tables = &mut self.program.tables;
        if tables.len() >= MAX_TABLES {
            return Err(Fault::Unsupported(
                "the model has too many different functions",
            ));
        }
        Ok(*self
            .tables
            .entry((grid, entries, exponent))
            .or_insert_with_key(|(grid, mantissas, exponent)| {
                let entries = Vector {
                    mantissas: mantissas.clone(),
                    exponent: *exponent,
                };
                tables.push(Table {
                    bits,
                    exponent: *grid,
                    entries,
                });
                (tables.len() - 1) as TableIndex
            }))
    }

    /// A matrix of `rows` outputs: one of a program, or two whose sum is nearer to it.
    pub(crate) fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
        values: Vec<f32>,
    ) -> Result<Vec<MatrixIndex>, Fault> {
        let rest = |made: &Quantised| -> Option<Vec<f32>> {
            let weights = og_program::matrix::Weights::new(&made.matrix, &made.bytes)?;
            let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
            let rest = places.zip(&values).map(|((row, column), value)| {
                let exponent = made.matrix.exponent + weights.shift(row) as i32;
                (f64::from(*value) - weights.value(row, column) as f64 * 2f64.powi(exponent)) as f32
            });
            Some(rest.collect())
        };
        let made = self.quantised(name, rows, columns, values.clone())?;
        let rest = if self.precise { rest(&made) } else { None };
        let mut matrices = vec![self.keep(made)];
        if let Some(rest) = rest {
            let made = self.quantised(name, rows, columns, rest)?;
            matrices.push(self.keep(made));
        }
        Ok(matrices)
    }

    fn quantised(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
        values: Vec<f32>,
    ) -> Result<Quantised, Fault> {
        let wrong = |reason: String| Fault::Shape(reason);
        let weights =
            Weights::owned(name, rows, columns, values).map_err(|e| wrong(e.to_string()))?;
        quantise(&weights, 1.0, &self.quantisation).map_err(|e| wrong(e.to_string()))
    }

    fn keep(&mut self, made: Quantised) -> MatrixIndex {
        self.program.matrices.push(made.matrix);
        self.bytes.push(made.bytes);
        (self.program.matrices.len() - 1) as MatrixIndex
    }

    /// An operation with each of the matrices that stand for one; the first has the bias.
    pub(crate) fn with_matrices(
        &mut self,
        name: &str,
        matrices: &[MatrixIndex],
        bias: Option<VectorIndex>,
        to: Type,
        operation: impl Fn(MatrixIndex, Option<VectorIndex>) -> Operation,
    ) -> Step {
        let [first, rest @ ..] = matrices else {
            return 0;
        };
        let Some(second) = rest.first() else {
            return self.step(name, operation(*first, bias), to);
        };
        let part = scaled(to.rows as usize, to.width as usize, 16);
        let left = self.step(name, operation(*first, bias), part.clone());
        let right = self.step(&format!("{name}/rest"), operation(*second, None), part);
        self.step(&format!("{name}/sum"), Operation::Add { left, right }, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_the_least_that_fit() {
        assert_eq!(exponent_for(1.0, 16), -14);
        assert_eq!(exponent_for(32767.0 / 32768.0, 16), -15);
        assert_eq!(exponent_for(32767.0, 16), 0);
        assert_eq!(exponent_for(32768.0, 16), 1);
        assert_eq!(exponent_for(0.0, 14), -13);
        assert_eq!(mantissa(f32::NAN, 0, 16), 0);
        assert_eq!(mantissa(f32::NEG_INFINITY, 0, 14), -8191);
    }
}
