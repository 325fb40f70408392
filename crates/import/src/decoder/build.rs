//! Steps, constants, tables and matrices of a program under construction.

use crate::{
    quantise::{Quantisation, QuantiseError, Quantised, quantise, quantise_columns},
    tensor::Tensor,
};
use og_program::{
    operation::{
        MatrixIndex, Number, Operation, Scale, Step, Table, TableIndex, Vector, VectorIndex,
    },
    program::{OutputDefinition, Program, StepDefinition, VERSION},
    value::{Form, Type},
};

/// A program under construction with its matrices' bytes.
pub(crate) struct Builder {
    pub(crate) program: Program,
    pub(crate) bytes: Vec<Vec<u8>>,
    /// Relative error of each matrix, with its name.
    pub(crate) errors: Vec<(String, f64)>,
    pub(crate) how: Quantisation,
}

impl Builder {
    pub(crate) fn new(positions: u32, vocabulary: u32, how: Quantisation) -> Self {
        Self {
            program: Program {
                version: VERSION,
                causal: true,
                positions,
                vocabulary,
                inputs: vec![],
                outputs: vec![],
                steps: vec![],
                vectors: vec![],
                tables: vec![],
                matrices: vec![],
            },
            bytes: vec![],
            errors: vec![],
            how,
        }
    }

    /// Adds a step of one row.
    pub(crate) fn step(
        &mut self,
        name: &str,
        operation: Operation,
        width: u32,
        form: Form,
    ) -> Step {
        let output = Type {
            rows: 1,
            width,
            form,
        };
        self.program.steps.push(StepDefinition {
            name: name.to_owned(),
            operation,
            output,
        });
        (self.program.steps.len() - 1) as Step
    }

    pub(crate) fn output(&mut self, name: &str, step: Step) {
        let shape = self
            .program
            .steps
            .get(step as usize)
            .map_or(1, |step| step.output.width);
        self.program.outputs.push(OutputDefinition {
            name: name.to_owned(),
            shape: vec![shape],
            step,
        });
    }

    /// Adds a constant, or finds an equal one.
    pub(crate) fn vector(&mut self, vector: Vector) -> VectorIndex {
        let same = self.program.vectors.iter().position(|have| *have == vector);
        same.unwrap_or_else(|| {
            self.program.vectors.push(vector);
            self.program.vectors.len() - 1
        }) as VectorIndex
    }

    /// Adds a function, or finds an equal one.
    pub(crate) fn table(&mut self, table: Table) -> TableIndex {
        let same = self.program.tables.iter().position(|have| *have == table);
        same.unwrap_or_else(|| {
            self.program.tables.push(table);
            self.program.tables.len() - 1
        }) as TableIndex
    }

    /// Quantises and adds a matrix.
    pub(crate) fn matrix(
        &mut self,
        tensor: &Tensor<'_>,
        factor: f32,
    ) -> Result<MatrixIndex, QuantiseError> {
        let quantised = quantise(tensor, factor, &self.how)?;
        Ok(self.push(tensor, quantised))
    }

    /// Quantises and adds a matrix whose columns are multiplied by a factor each.
    pub(crate) fn balanced_matrix(
        &mut self,
        tensor: &Tensor<'_>,
        factors: &[f32],
    ) -> Result<MatrixIndex, QuantiseError> {
        let quantised = quantise_columns(tensor, factors, &self.how)?;
        Ok(self.push(tensor, quantised))
    }

    fn push(&mut self, tensor: &Tensor<'_>, quantised: Quantised) -> MatrixIndex {
        self.errors
            .push((tensor.name().to_owned(), quantised.relative_error));
        self.program.matrices.push(quantised.matrix);
        self.bytes.push(quantised.bytes);
        (self.program.matrices.len() - 1) as MatrixIndex
    }
}

/// Numbers as 16-bit mantissas with the least exponent that holds them all.
pub(crate) fn vector_of(values: impl Iterator<Item = f64> + Clone) -> Vector {
    let greatest = values.clone().fold(0_f64, |most, x| most.max(x.abs()));
    let exponent = exponent_for(greatest, 16);
    let unit = 2_f64.powi(exponent);
    let mantissas = values.map(|x| (x / unit).round().clamp(-32_767.0, 32_767.0) as i16);
    Vector {
        mantissas: mantissas.collect(),
        exponent,
    }
}

/// The least exponent with which mantissas of `bits` bits reach `greatest`; 0 for zero.
pub(crate) fn exponent_for(greatest: f64, bits: u8) -> i32 {
    if greatest <= 0.0 || !greatest.is_finite() {
        return 0;
    }
    let largest = f64::from((1_i32 << (bits - 1)) - 1);
    ((greatest / largest).log2().ceil() as i32).clamp(-500, 500)
}

/// A number with a mantissa of 30 bits.
pub(crate) fn number_of(x: f64) -> Number {
    if x <= 0.0 || !x.is_finite() {
        return Number {
            mantissa: 0,
            exponent: 0,
        };
    }
    let exponent = (x.log2().floor() as i32 - 29).clamp(-1000, 1000);
    Number {
        mantissa: (x / 2_f64.powi(exponent)).round() as i64,
        exponent,
    }
}

/// A factor as a multiplier of 16 bits and places; `None` if it is beyond what those can say.
pub(crate) fn scale_of(factor: f64) -> Option<Scale> {
    if !(factor.is_finite() && factor > 0.0 && factor <= 65_536.0) {
        return None;
    }
    let places = (15 - factor.log2().floor() as i32).clamp(0, 62);
    let multiplier = (factor * 2_f64.powi(places)).round().clamp(1.0, 65_536.0);
    Some(Scale {
        multiplier: multiplier as u32,
        places: places as u32,
    })
}

/// A function at all points of a grid of `2^bits` points with the given exponent.
pub(crate) fn table_of(bits: u8, exponent: i32, function: impl Fn(f64) -> f64) -> Table {
    let (half, unit) = (1_i64 << (bits - 1), 2_f64.powi(exponent));
    let points = (-half..half).map(|point| function(point as f64 * unit));
    Table {
        bits,
        exponent,
        entries: vector_of(points),
    }
}

/// The form of rows that find their own exponent.
pub(crate) const fn scaled(bits: u8, parts: u32) -> Form {
    Form::Scaled { bits, parts }
}
