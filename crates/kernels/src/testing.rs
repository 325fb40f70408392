//! What tests share: random numbers, matrices and rows, and the interpreter as the judge.

use crate::{Kernels, Path};
use og_program::{
    interpret::{Interpreter, PositionInput},
    matrix::{Encoding, Matrix, Weights},
    operation::{Operation, Table, Vector},
    program::{Program, StepDefinition, VERSION},
    value::{Form, Type, Value},
};

/// The kernels of every path that this processor has.
pub(crate) fn all() -> impl Iterator<Item = Kernels> {
    Path::available().map(|path| Kernels::new(path).unwrap())
}

/// Numbers that look random (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    /// Mantissas of `bits` bits: all small, all at the edge, or anything.
    pub(crate) fn mantissas(&mut self, count: usize, bits: u8) -> Vec<i16> {
        let limit = (1_i64 << (bits - 1)) - 1;
        let kind = self.below(8);
        let mut one = |_| match kind {
            0 => limit,
            1 => [-limit, limit][self.below(2) as usize],
            2 => 0,
            3 => self.between(-3.min(limit), 3.min(limit)),
            _ => self.between(-limit, limit),
        };
        (0..count).map(|i| one(i) as i16).collect()
    }

    pub(crate) fn vector(&mut self, count: usize, bits: u8) -> Vector {
        let mantissas = self.mantissas(count, bits);
        Vector {
            mantissas,
            exponent: self.between(-30, 5) as i32,
        }
    }

    pub(crate) fn table(&mut self) -> Table {
        let bits = self.between(4, 12) as u8;
        Table {
            bits,
            exponent: self.between(-12, 2) as i32,
            entries: self.vector(1 << bits, 16),
        }
    }

    pub(crate) fn scaled(&mut self, parts: u32) -> Form {
        let bits = self.between(8, 16) as u8;
        Form::Scaled { bits, parts }
    }

    pub(crate) fn fixed(&mut self, parts: u32) -> Form {
        let bits = self.between(8, 16) as u8;
        let exponents = (0..parts).map(|_| self.between(-20, 10) as i32).collect();
        Form::Fixed { bits, exponents }
    }

    pub(crate) fn form(&mut self, parts: u32) -> Form {
        if self.below(2) == 0 {
            self.scaled(parts)
        } else {
            self.fixed(parts)
        }
    }

    /// A value of a type; rows of zeros have the exponent of zeros.
    pub(crate) fn value(&mut self, of: &Type) -> Value {
        let width = of.width as usize / of.parts();
        let (mut mantissas, mut exponents) = (vec![], vec![]);
        for part in 0..of.rows as usize * of.parts() {
            let row = self.mantissas(width, of.bits());
            exponents.push(match &of.form {
                Form::Fixed { exponents, .. } => exponents[part % exponents.len()],
                _ if row.iter().all(|m| *m == 0) => og_program::numbers::ZERO_EXPONENT,
                _ => self.between(-20, 4) as i32,
            });
            mantissas.extend(row);
        }
        Value::Rows {
            mantissas,
            exponents,
        }
    }

    /// A matrix and its bytes. Padding holds anything.
    pub(crate) fn matrix(
        &mut self,
        encoding: Encoding,
        outputs: usize,
        inputs: usize,
    ) -> (Matrix, Vec<u8>) {
        let matrix = Matrix {
            outputs: outputs as u32,
            inputs: inputs as u32,
            encoding,
            exponent: self.between(-20, 0) as i32,
            largest_shift: 5,
            largest_row_sum: 0,
            hash: [0; 32],
        };
        let layout = matrix.layout().unwrap();
        let kind = self.below(4);
        let mut bytes = vec![0; layout.bytes];
        for (part, (offset, length)) in [
            layout.shifts,
            layout.multipliers,
            layout.minimums,
            layout.quants,
        ]
        .into_iter()
        .enumerate()
        {
            for (i, byte) in bytes[offset..offset + length].iter_mut().enumerate() {
                *byte = match (part, kind) {
                    (0, _) => self.below(6) as u8,
                    (3, 0) => [0x80, 0x7f, 0, 0xff][self.below(4) as usize],
                    (1, 0) => 255,
                    (2, 0) => 255,
                    (1, 1) => self.below(16) as u8,
                    (2, 1..=2) if i % 2 == 1 => self.below(8) as u8,
                    _ => self.next() as u8,
                };
            }
        }
        (matrix, bytes)
    }
}

/// What the interpreter makes of an operation whose operands are steps 0, 1, … with these types and values.
pub(crate) struct Judge<'a> {
    pub(crate) operation: Operation,
    pub(crate) output: Type,
    pub(crate) vectors: Vec<Vector>,
    pub(crate) tables: Vec<Table>,
    pub(crate) weights: Vec<Weights<'a>>,
    pub(crate) types: Vec<Type>,
}

impl Judge<'_> {
    /// The result at the last position, and how many elements were clamped there.
    pub(crate) fn result(&self, positions: &[Vec<Value>]) -> (Value, u64) {
        let inputs = self.types.iter().enumerate().map(|(i, of)| StepDefinition {
            name: String::new(),
            operation: Operation::Input(i as u32),
            output: of.clone(),
        });
        let last = StepDefinition {
            name: String::new(),
            operation: self.operation.clone(),
            output: self.output.clone(),
        };
        let program = Program {
            version: VERSION,
            steps: inputs.chain([last]).collect(),
            vectors: self.vectors.clone(),
            tables: self.tables.clone(),
            matrices: self.weights.iter().map(|w| w.matrix.clone()).collect(),
            positions: 1 << 17,
            causal: true,
            ..empty()
        };
        let mut interpreter = Interpreter::new(&program, self.weights.clone()).unwrap();
        let positions: Vec<PositionInput> = positions
            .iter()
            .map(|inputs| PositionInput {
                token: 0,
                inputs: inputs.clone(),
            })
            .collect();
        interpreter.extend(&positions).unwrap();
        interpreter.value(self.types.len() as u32, positions.len() - 1)
    }
}

fn empty() -> Program {
    Program {
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
    }
}
