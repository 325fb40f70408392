//! What operations pass on: indices, or rows of 16-bit mantissas with exponents.

use crate::numbers::{
    WIDE_MAX, align, clamp_exponent, clamp_mantissa, mantissa_max, row_exponent, shift,
};
use minicbor::{Decode, Encode};

/// The type of an operation's output at one position: a matrix of `rows` rows of `width` elements.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Type {
    /// Rows, at least 1: the pixels of a picture; 1 for a token.
    #[n(0)]
    pub rows: u32,
    /// Elements in a row, at least 1: channels, features.
    #[n(1)]
    pub width: u32,
    /// How elements are written.
    #[n(2)]
    pub form: Form,
}

/// How the elements of a row are written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Form {
    /// Unsigned 32-bit numbers: tokens, positions, classes.
    #[n(0)]
    Index,
    /// Mantissas with one exponent for each part of each row, found from the row's values.
    #[n(1)]
    Scaled {
        /// Bits of a mantissa with its sign, 8 to 16.
        #[n(0)]
        bits: u8,
        /// Equal parts of a row, each with an exponent of its own.
        #[n(1)]
        parts: u32,
    },
    /// Mantissas whose exponents are part of the program: one for each part of a row.
    #[n(2)]
    Fixed {
        /// Bits of a mantissa with its sign, 8 to 16.
        #[n(0)]
        bits: u8,
        /// Exponent of each part.
        #[n(1)]
        exponents: Vec<i32>,
    },
}

impl Type {
    /// Elements of the matrix.
    pub fn elements(&self) -> usize {
        (self.rows as usize).saturating_mul(self.width as usize)
    }

    /// Equal parts of a row, each with one exponent; 1 for indices.
    pub fn parts(&self) -> usize {
        match &self.form {
            Form::Index => 1,
            Form::Scaled { parts, .. } => *parts as usize,
            Form::Fixed { exponents, .. } => exponents.len(),
        }
    }

    /// Whether rows are fixed with one exponent, which then all elements share.
    pub fn is_plain(&self) -> bool {
        matches!(&self.form, Form::Fixed { exponents, .. } if exponents.len() == 1)
    }

    /// Bits of a mantissa with its sign; 0 for indices.
    pub fn bits(&self) -> u8 {
        match &self.form {
            Form::Index => 0,
            Form::Scaled { bits, .. } | Form::Fixed { bits, .. } => *bits,
        }
    }

    /// The largest magnitude of a mantissa; 0 for indices.
    pub fn largest(&self) -> i64 {
        match self.bits() {
            0 => 0,
            bits => i64::from(mantissa_max(bits)),
        }
    }
}

/// An operation's output at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Row-major indices.
    Index(Vec<u32>),
    /// Row-major mantissas; `exponents` has one entry for each part of each row.
    Rows {
        /// Mantissas.
        mantissas: Vec<i16>,
        /// Exponents.
        exponents: Vec<i32>,
    },
}

impl Value {
    /// Zeros of a type: what `delay` gives at the first position.
    pub fn zero(of: &Type) -> Self {
        let parts = of.rows as usize * of.parts();
        match &of.form {
            Form::Index => Self::Index(vec![0; of.elements()]),
            Form::Scaled { .. } => Self::Rows {
                mantissas: vec![0; of.elements()],
                exponents: vec![crate::numbers::ZERO_EXPONENT; parts],
            },
            Form::Fixed { exponents, .. } => Self::Rows {
                mantissas: vec![0; of.elements()],
                exponents: exponents.repeat(of.rows as usize),
            },
        }
    }

    /// Whether this is a value of a type: as many elements, none beyond its range, and for fixed rows its exponents.
    pub fn fits(&self, of: &Type) -> bool {
        let parts = (of.rows as usize).saturating_mul(of.parts());
        let within = self
            .mantissas()
            .iter()
            .all(|m| i64::from(*m).abs() <= of.largest());
        match (self, &of.form) {
            (Self::Index(indices), Form::Index) => indices.len() == of.elements(),
            (
                Self::Rows {
                    mantissas,
                    exponents,
                },
                form,
            ) => {
                let alike = match form {
                    Form::Index => false,
                    Form::Scaled { .. } => exponents.len() == parts,
                    Form::Fixed {
                        exponents: fixed, ..
                    } => {
                        exponents.len() == parts
                            && exponents.chunks(fixed.len().max(1)).all(|row| row == fixed)
                    }
                };
                alike && mantissas.len() == of.elements() && within
            }
            (Self::Index(_), _) => false,
        }
    }

    /// The indices; empty if these are rows.
    pub fn indices(&self) -> &[u32] {
        match self {
            Self::Index(indices) => indices,
            Self::Rows { .. } => &[],
        }
    }

    /// The mantissas; empty if these are indices.
    pub fn mantissas(&self) -> &[i16] {
        match self {
            Self::Index(_) => &[],
            Self::Rows { mantissas, .. } => mantissas,
        }
    }

    /// The exponents of all parts of all rows; empty if these are indices.
    pub fn exponents(&self) -> &[i32] {
        match self {
            Self::Index(_) => &[],
            Self::Rows { exponents, .. } => exponents,
        }
    }
}

/// One row inside an operation: 64-bit numbers, with one exponent for each of its equal parts. Magnitudes stay
/// below 2^62.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WideRow {
    /// The elements.
    pub values: Vec<i64>,
    /// The exponent of each part.
    pub exponents: Vec<i32>,
}

impl WideRow {
    /// A row with one exponent.
    pub fn new(values: Vec<i64>, exponent: i32) -> Self {
        Self {
            values,
            exponents: vec![exponent],
        }
    }

    /// The row cut into `parts` equal parts. Finer parts inherit their exponents; where parts are joined, all are
    /// aligned to the greatest exponent among them less 16.
    #[must_use]
    pub fn with_parts(self, parts: usize) -> Self {
        let have = self.exponents.len();
        if have == parts {
            return self;
        }
        if parts.is_multiple_of(have) {
            let finer = self
                .exponents
                .iter()
                .flat_map(|e| std::iter::repeat_n(*e, parts / have));
            return Self {
                exponents: finer.collect(),
                values: self.values,
            };
        }
        let (width, joined) = (self.values.len() / have, have / parts);
        let exponents: Vec<i32> = self.exponents.chunks(joined).map(joint_exponent).collect();
        let values = self.values.iter().enumerate().map(|(i, value)| {
            align(
                *value,
                self.exponents[i / width],
                exponents[i / width / joined],
            )
        });
        Self {
            values: values.collect(),
            exponents,
        }
    }
}

/// The exponent at which numbers of several exponents are added: the greatest less 16.
pub fn joint_exponent(exponents: &[i32]) -> i32 {
    exponents.iter().max().map_or(0, |greatest| greatest - 16)
}

/// Writes wide rows as a value of type `of`: `normalise` for scaled, `saturate` for fixed.
/// Also gives how many elements were clamped by `saturate`.
pub fn finish(rows: Vec<WideRow>, of: &Type) -> (Value, u64) {
    let parts = of.parts();
    let mut mantissas = Vec::with_capacity(of.elements());
    let mut exponents = Vec::with_capacity(of.rows as usize * parts);
    let mut clamped = 0;
    for row in rows {
        let row = row.with_parts(parts);
        let width = row.values.len() / parts;
        for (index, (part, exponent)) in row.values.chunks(width).zip(row.exponents).enumerate() {
            match &of.form {
                Form::Fixed {
                    bits,
                    exponents: fixed,
                } => {
                    let to = fixed[index];
                    exponents.push(to);
                    for value in part {
                        let aligned = align(*value, exponent, to);
                        clamped += u64::from(aligned.abs() > i64::from(mantissa_max(*bits)));
                        mantissas.push(clamp_mantissa(aligned, *bits));
                    }
                }
                Form::Scaled { bits, .. } => {
                    let largest = part.iter().map(|value| value.abs()).max().unwrap_or(0);
                    let (to, places) = row_exponent(largest, exponent, *bits);
                    exponents.push(to);
                    mantissas.extend(
                        part.iter()
                            .map(|value| clamp_mantissa(shift(*value, places), *bits)),
                    );
                }
                Form::Index => {}
            }
        }
    }
    (
        Value::Rows {
            mantissas,
            exponents,
        },
        clamped,
    )
}

/// The sum of two numbers with exponents, at the exponent `to`, clamped to ±[`WIDE_MAX`].
pub fn sum_at(a: (i64, i32), b: (i64, i32), to: i32) -> i64 {
    (align(a.0, a.1, to) + align(b.0, b.1, to)).clamp(-WIDE_MAX, WIDE_MAX)
}

/// `exponent` moved by `by`, within bounds.
pub fn moved(exponent: i32, by: i32) -> i32 {
    clamp_exponent(exponent.saturating_add(by))
}
