//! Llama-shaped programs with arbitrary weights: speed does not depend on them.

use og_engine::exact::{Model, ModelError};
use og_program::{
    file::{Manifest, describe},
    matrix::{Encoding, Matrix},
    operation::{Attention, Number, Operation, Rotation, Scale, Step, Table, Vector},
    program::{OutputDefinition, Program, StepDefinition, VERSION},
    value::{Form, Type},
};

/// The sizes of a decoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    width: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    inner: usize,
}

/// Tokens of every shape.
const VOCABULARY: usize = 32_000;

impl Shape {
    /// The shape of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let [width, layers, heads, kv_heads, inner] = match name {
            "15m" => [288, 6, 6, 6, 768],
            "124m" => [768, 12, 12, 12, 2048],
            "1b" => [2048, 22, 32, 4, 5632],
            _ => return None,
        };
        Some(Self {
            width,
            layers,
            heads,
            kv_heads,
            inner,
        })
    }
}

struct Builder {
    program: Program,
    matrices: Vec<Vec<u8>>,
    encoding: Encoding,
    state: u64,
}

fn of(width: usize, form: Form) -> Type {
    Type {
        rows: 1,
        width: width as u32,
        form,
    }
}

fn scaled(width: usize, bits: u8) -> Type {
    of(width, Form::Scaled { bits, parts: 1 })
}

fn fixed(width: usize, bits: u8, exponents: Vec<i32>) -> Type {
    of(width, Form::Fixed { bits, exponents })
}

impl Builder {
    fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn step(&mut self, operation: Operation, output: Type) -> Step {
        let name = String::new();
        self.program.steps.push(StepDefinition {
            name,
            operation,
            output,
        });
        (self.program.steps.len() - 1) as Step
    }

    fn vector(&mut self, mantissas: Vec<i16>, exponent: i32) -> u32 {
        self.program.vectors.push(Vector {
            mantissas,
            exponent,
        });
        (self.program.vectors.len() - 1) as u32
    }

    fn matrix(&mut self, outputs: usize, inputs: usize) -> Result<u32, ModelError> {
        let shape = Matrix {
            outputs: outputs as u32,
            inputs: inputs as u32,
            encoding: self.encoding,
            exponent: -16,
            largest_shift: 0,
            largest_row_sum: 0,
            hash: [0; 32],
        };
        let mut bytes = vec![0; shape.layout().map_or(0, |layout| layout.bytes)];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = self.number().to_le_bytes();
        }
        if let Some(layout) = shape.layout() {
            // Multipliers of 4 bits, as conversions make them.
            bytes[layout.shifts.0..][..layout.shifts.1].fill(0);
            bytes[layout.multipliers.0..][..layout.multipliers.1]
                .iter_mut()
                .for_each(|k| *k &= 15);
        }
        let matrix = describe([outputs as u32, inputs as u32], self.encoding, -16, &bytes)?;
        self.program.matrices.push(matrix);
        self.matrices.push(bytes);
        Ok((self.program.matrices.len() - 1) as u32)
    }

    fn linear(&mut self, input: Step, inputs: usize, output: Type) -> Result<Step, ModelError> {
        let matrix = self.matrix(output.width as usize, inputs)?;
        let operation = Operation::Linear {
            input,
            matrix,
            bias: None,
        };
        Ok(self.step(operation, output))
    }

    fn norm(&mut self, input: Step, width: usize) -> Step {
        let gain = self.vector(vec![16_384; width], -14);
        let operation = Operation::RootMeanSquare {
            input,
            gain,
            epsilon: Number {
                mantissa: 1,
                exponent: -20,
            },
            parts: 1,
        };
        self.step(operation, scaled(width, 14))
    }

    fn add(&mut self, left: Step, right: Step, width: usize) -> Step {
        self.step(Operation::Add { left, right }, scaled(width, 16))
    }

    fn attention(
        &mut self,
        shape: Shape,
        x: Step,
        [sine, weights]: [u32; 2],
    ) -> Result<Step, ModelError> {
        let Shape {
            width,
            heads,
            kv_heads,
            ..
        } = shape;
        let head = width / heads;
        let normed = self.norm(x, width);
        let rotation = Rotation {
            steps: (1..=head as u64 / 2)
                .map(|pair| u64::MAX / (7 * pair * pair))
                .collect(),
            sine,
            halves: false,
        };
        let mut turned = vec![];
        for count in [heads, kv_heads] {
            let input = self.linear(normed, width, scaled(count * head, 14))?;
            let rotate = Operation::Rotate {
                input,
                heads: count as u32,
                rotation: rotation.clone(),
            };
            turned.push(self.step(rotate, fixed(count * head, 12, vec![-7; count])));
        }
        let values = self.linear(
            normed,
            width,
            fixed(kv_heads * head, 12, vec![-7; kv_heads]),
        )?;
        let scale = Scale {
            multiplier: 40_000,
            places: 30,
        };
        let attention = Attention {
            heads: heads as u32,
            kv_heads: kv_heads as u32,
            window: None,
            scales: vec![scale; heads],
            weights,
            cap: None,
        };
        let attend = Operation::Attend {
            queries: turned[0],
            keys: turned[1],
            values,
            attention,
        };
        let parts = heads as u32;
        let means = self.step(attend, of(width, Form::Scaled { bits: 14, parts }));
        let mean = self.step(Operation::Cast(means), scaled(width, 14));
        self.linear(mean, width, scaled(width, 16))
    }
}

/// A model of a shape, all matrices of one encoding.
pub(crate) fn model(shape: Shape, encoding: Encoding) -> Result<Model, ModelError> {
    let mut b = Builder {
        program: Program {
            version: VERSION,
            causal: true,
            positions: 2048,
            vocabulary: VOCABULARY as u32,
            inputs: vec![],
            outputs: vec![],
            steps: vec![],
            vectors: vec![],
            tables: vec![],
            matrices: vec![],
        },
        matrices: vec![],
        encoding,
        state: 0x9e37_79b9_7f4a_7c15,
    };
    let width = shape.width;
    let sine = (0..4096_i32)
        .map(|i| ((i * 8) % 32_768 - 16_384) as i16)
        .collect();
    let sine = b.vector(sine, -14);
    let weights = (0..4096_i32).map(|i| (32_767 / (1 + i)) as i16).collect();
    let weights = b.vector(weights, -15);
    let entries = Vector {
        mantissas: (0..4096_i32).map(|i| (i * 4) as i16).collect(),
        exponent: -14,
    };
    b.program.tables.push(Table {
        bits: 12,
        exponent: -8,
        entries,
    });
    let token = b.step(
        Operation::Token,
        Type {
            rows: 1,
            width: 1,
            form: Form::Index,
        },
    );
    let matrix = b.matrix(VOCABULARY, width)?;
    let embed = Operation::Embed {
        input: token,
        matrix,
    };
    let mut x = b.step(embed, scaled(width, 16));
    for _ in 0..shape.layers {
        let attended = b.attention(shape, x, [sine, weights])?;
        x = b.add(x, attended, width);
        let normed = b.norm(x, width);
        let gate = b.linear(normed, width, scaled(shape.inner, 14))?;
        let up = b.linear(normed, width, scaled(shape.inner, 14))?;
        let gated = Operation::Gate {
            input: gate,
            other: Some(up),
            table: 0,
        };
        let gated = b.step(gated, scaled(shape.inner, 14));
        let down = b.linear(gated, shape.inner, scaled(width, 16))?;
        x = b.add(x, down, width);
    }
    let normed = b.norm(x, width);
    let step = b.linear(normed, width, fixed(VOCABULARY, 16, vec![-8]))?;
    b.program.outputs.push(OutputDefinition {
        name: "logits".to_owned(),
        shape: vec![1, VOCABULARY as u32],
        step,
    });
    let manifest = Manifest {
        program: b.program,
        text: None,
    };
    Model::from_parts(manifest, &b.matrices)
}
