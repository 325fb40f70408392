//! Values of a step at several positions, one after another in one buffer that is reused.

use og_kernels::{Row, RowMut};
use og_program::value::{Form, Type, Value};

/// Memory for a value at several positions. It grows and never shrinks; what is beyond the value is arbitrary.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) mantissas: Vec<i16>,
    pub(crate) exponents: Vec<i32>,
    pub(crate) indices: Vec<u32>,
}

impl Buffer {
    /// Makes room for `positions` values of a type.
    pub(crate) fn fit(&mut self, of: &Type, positions: usize) {
        let elements = of.elements() * positions;
        if of.form == Form::Index {
            grow(&mut self.indices, elements);
        } else {
            grow(&mut self.mantissas, elements);
            grow(
                &mut self.exponents,
                of.rows as usize * of.parts() * positions,
            );
        }
    }

    /// Writes the value of one position, whose type is `of`.
    pub(crate) fn set(&mut self, of: &Type, position: usize, value: &Value) {
        let (elements, parts) = (of.elements(), of.rows as usize * of.parts());
        match value {
            Value::Index(indices) => {
                self.indices[position * elements..][..elements].copy_from_slice(indices);
            }
            Value::Rows {
                mantissas,
                exponents,
            } => {
                self.mantissas[position * elements..][..elements].copy_from_slice(mantissas);
                self.exponents[position * parts..][..parts].copy_from_slice(exponents);
            }
        }
    }

    /// Copies the values at `positions` of `from` here, one after another from the place `at`.
    pub(crate) fn gather(&mut self, from: &Self, of: &Type, positions: &[usize], at: usize) {
        self.fit(of, at + positions.len());
        let (elements, parts) = (of.elements(), of.rows as usize * of.parts());
        for (to, position) in positions.iter().enumerate() {
            let to = to + at;
            if of.form == Form::Index {
                self.indices[to * elements..][..elements]
                    .copy_from_slice(&from.indices[position * elements..][..elements]);
            } else {
                self.mantissas[to * elements..][..elements]
                    .copy_from_slice(&from.mantissas[position * elements..][..elements]);
                self.exponents[to * parts..][..parts]
                    .copy_from_slice(&from.exponents[position * parts..][..parts]);
            }
        }
    }

    /// Row `row`, counted over all positions, to be written.
    pub(crate) fn row_mut(&mut self, of: &Type, row: usize) -> RowMut<'_> {
        let (width, parts) = (of.width as usize, of.parts());
        RowMut {
            mantissas: &mut self.mantissas[row * width..][..width],
            exponents: &mut self.exponents[row * parts..][..parts],
        }
    }
}

fn grow<T: Clone + Default>(numbers: &mut Vec<T>, length: usize) {
    if numbers.len() < length {
        numbers.resize(length, T::default());
    }
}

/// A step's values at several positions.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub(crate) of: &'a Type,
    width: usize,
    parts: usize,
    buffer: &'a Buffer,
}

impl<'a> Operand<'a> {
    pub(crate) fn new(of: &'a Type, buffer: &'a Buffer) -> Self {
        Self {
            of,
            width: of.width as usize,
            parts: of.parts(),
            buffer,
        }
    }

    /// A row, counted over all positions.
    pub(crate) fn row(&self, row: usize) -> Row<'a> {
        Row {
            mantissas: &self.buffer.mantissas[row * self.width..][..self.width],
            exponents: &self.buffer.exponents[row * self.parts..][..self.parts],
        }
    }

    /// Some rows as one: a single one, or any number of a plain type's.
    pub(crate) fn together(&self, rows: std::ops::Range<usize>) -> Row<'a> {
        Row {
            exponents: &self.buffer.exponents[rows.start * self.parts..][..self.parts],
            mantissas: self.mantissas(rows),
        }
    }

    /// The exponent of a row's first part.
    pub(crate) fn exponent(&self, row: usize) -> i32 {
        self.buffer.exponents[row * self.parts]
    }

    /// A row of indices, counted over all positions.
    pub(crate) fn indices(&self, row: usize) -> &'a [u32] {
        &self.buffer.indices[row * self.width..][..self.width]
    }

    /// The mantissas of some rows, counted over all positions.
    pub(crate) fn mantissas(&self, rows: std::ops::Range<usize>) -> &'a [i16] {
        &self.buffer.mantissas[rows.start * self.width..rows.end * self.width]
    }

    /// The whole value at one position.
    pub(crate) fn at(&self, position: usize) -> ValueRef<'a> {
        ValueRef::of(self.of, self.buffer, position)
    }
}

/// The value of a step at one position, as it lies in the executor. Row-major; one of mantissas and indices is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueRef<'a> {
    /// Mantissas of all rows.
    pub mantissas: &'a [i16],
    /// Exponents of all parts of all rows.
    pub exponents: &'a [i32],
    /// Indices of all rows.
    pub indices: &'a [u32],
}

impl<'a> ValueRef<'a> {
    pub(crate) fn of(of: &Type, buffer: &'a Buffer, position: usize) -> Self {
        let (elements, parts) = (of.elements(), of.rows as usize * of.parts());
        if of.form == Form::Index {
            return Self {
                mantissas: &[],
                exponents: &[],
                indices: &buffer.indices[position * elements..][..elements],
            };
        }
        Self {
            mantissas: &buffer.mantissas[position * elements..][..elements],
            exponents: &buffer.exponents[position * parts..][..parts],
            indices: &[],
        }
    }

    /// A copy, as the interpreter has it. `indices` tells the two kinds apart.
    pub fn to_value(&self) -> Value {
        if self.mantissas.is_empty() {
            Value::Index(self.indices.to_vec())
        } else {
            Value::Rows {
                mantissas: self.mantissas.to_vec(),
                exponents: self.exponents.to_vec(),
            }
        }
    }
}
