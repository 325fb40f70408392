//! Programs for tests: one that has every operation that a causal program can have, and an encoder that sees all positions.

use crate::{
    file::{Manifest, TextAssets, describe},
    interpret::{Interpreter, PositionInput},
    matrix::{Encoding, Matrix, Weights},
    operation::{
        Attention, Branch, Cap, Number, Operation, Pooling, Reduction, Rotation, Scale, Step,
        Table, Vector, Window,
    },
    program::{InputDefinition, InputForm, OutputDefinition, Program, StepDefinition, VERSION},
    value::{Form, Type, Value},
};

/// A program in the making, with its weights.
pub(crate) struct Example {
    pub(crate) program: Program,
    pub(crate) weights: Vec<Vec<u8>>,
    noise: u64,
}

pub(crate) fn index(rows: u32, width: u32) -> Type {
    let form = Form::Index;
    Type { rows, width, form }
}

pub(crate) fn scaled(width: u32, bits: u8, parts: u32) -> Type {
    let form = Form::Scaled { bits, parts };
    Type {
        rows: 1,
        width,
        form,
    }
}

pub(crate) fn fixed(rows: u32, width: u32, bits: u8, exponents: &[i32]) -> Type {
    let exponents = exponents.to_vec();
    let form = Form::Fixed { bits, exponents };
    Type { rows, width, form }
}

const WIDTH: u32 = 16;
const VOCABULARY: u32 = 24;

impl Example {
    pub(crate) fn new(causal: bool) -> Self {
        Self {
            program: Program {
                version: VERSION,
                causal,
                positions: 8,
                vocabulary: VOCABULARY,
                inputs: vec![],
                outputs: vec![],
                steps: vec![],
                vectors: vec![],
                tables: vec![],
                matrices: vec![],
            },
            weights: vec![],
            noise: 1,
        }
    }

    /// Numbers without a pattern, the same every time.
    pub(crate) fn noise(&mut self) -> u8 {
        self.noise = self
            .noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 56) as u8
    }

    pub(crate) fn step(&mut self, operation: Operation, output: Type) -> Step {
        let name = format!("step {}", self.program.steps.len());
        self.program.steps.push(StepDefinition {
            name,
            operation,
            output,
        });
        self.program.steps.len() as Step - 1
    }

    pub(crate) fn vector(&mut self, mantissas: Vec<i16>, exponent: i32) -> u32 {
        self.program.vectors.push(Vector {
            mantissas,
            exponent,
        });
        self.program.vectors.len() as u32 - 1
    }

    pub(crate) fn noise_vector(&mut self, length: usize, exponent: i32) -> u32 {
        let mantissas = (0..length).map(|_| i16::from(self.noise() as i8) * 32);
        let mantissas = mantissas.collect();
        self.vector(mantissas, exponent)
    }

    pub(crate) fn table(&mut self, bits: u8, exponent: i32, function: fn(f64) -> f64) -> u32 {
        let half = 1_i32 << (bits - 1);
        let entries = (-half..half).map(|point| {
            let x = f64::from(point) * 2_f64.powi(exponent);
            (function(x) * 16_384.0).round() as i16
        });
        let entries = Vector {
            mantissas: entries.collect(),
            exponent: -14,
        };
        self.program.tables.push(Table {
            bits,
            exponent,
            entries,
        });
        self.program.tables.len() as u32 - 1
    }

    pub(crate) fn matrix(&mut self, shape: [u32; 2], encoding: Encoding, exponent: i32) -> u32 {
        let [outputs, inputs] = shape;
        let mut matrix = Matrix {
            outputs,
            inputs,
            encoding,
            exponent,
            largest_shift: 0,
            largest_row_sum: 0,
            hash: [0; 32],
        };
        let layout = matrix.layout().unwrap();
        let mut bytes = vec![0; layout.bytes];
        bytes[..layout.bytes].fill_with(|| self.noise());
        for shift in &mut bytes[..layout.shifts.1] {
            *shift %= 3;
        }
        // Minimums of two bytes would be far greater than what they are taken from.
        let minimums = layout.minimums.0..layout.minimums.0 + layout.minimums.1;
        bytes[minimums]
            .iter_mut()
            .skip(1)
            .step_by(2)
            .for_each(|high| *high %= 8);
        matrix = describe(shape, encoding, exponent, &bytes).unwrap();
        self.program.matrices.push(matrix);
        self.weights.push(bytes);
        self.program.matrices.len() as u32 - 1
    }

    pub(crate) fn linear(
        &mut self,
        input: Step,
        outputs: u32,
        encoding: Encoding,
        output: Type,
    ) -> Step {
        let inputs = self.program.steps[input as usize].output.width;
        let matrix = self.matrix([outputs, inputs], encoding, -14);
        let operation = Operation::Linear {
            input,
            matrix,
            bias: None,
        };
        self.step(operation, output)
    }

    pub(crate) fn input(&mut self, form: InputForm, output: Type) -> Step {
        let index = self.program.inputs.len() as u32;
        self.program.inputs.push(InputDefinition {
            name: format!("input {index}"),
            shape: vec![output.rows, output.width],
            form,
        });
        self.step(Operation::Input(index), output)
    }

    /// Makes every step an output.
    pub(crate) fn finish(mut self) -> Self {
        let steps = self.program.steps.iter().enumerate();
        self.program.outputs = steps
            .map(|(step, definition)| OutputDefinition {
                name: definition.name.clone(),
                shape: vec![definition.output.elements() as u32],
                step: step as Step,
            })
            .collect();
        self.program.check().unwrap();
        self
    }

    pub(crate) fn weights(&self) -> Vec<Weights<'_>> {
        let matrices = self.program.matrices.iter().zip(&self.weights);
        matrices
            .map(|(matrix, bytes)| Weights::new(matrix, bytes).unwrap())
            .collect()
    }

    /// Runs it over so many positions with inputs without a pattern.
    pub(crate) fn run(&self, positions: usize) -> Interpreter<'_> {
        let mut interpreter = Interpreter::new(&self.program, self.weights()).unwrap();
        interpreter
            .extend(&inputs(&self.program, positions, 7))
            .unwrap();
        interpreter
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let special = [("bos_token".to_owned(), "<s>".to_owned())];
        Manifest {
            program: self.program.clone(),
            text: Some(TextAssets {
                tokenizer: b"{}".to_vec(),
                chat_template: Some("{{ messages }}".to_owned()),
                begin: Some(1),
                ends: vec![2, 3],
                special: special.into(),
                pooling: None,
            }),
        }
    }
}

/// Inputs of a program for so many positions, without a pattern.
pub(crate) fn inputs(program: &Program, positions: usize, seed: u64) -> Vec<PositionInput> {
    let mut noise = Example::new(true);
    noise.noise = seed;
    let mut inputs = vec![];
    for _ in 0..positions {
        let token = u32::from(noise.noise()) % program.vocabulary.max(1);
        let mut values = vec![Value::Index(vec![]); program.inputs.len()];
        for step in &program.steps {
            let Operation::Input(index) = step.operation else {
                continue;
            };
            let mut value = Value::zero(&step.output);
            match &mut value {
                Value::Index(indices) => indices.fill_with(|| u32::from(noise.noise() % 8)),
                Value::Rows { mantissas, .. } => {
                    mantissas.fill_with(|| i16::from(noise.noise() as i8).max(-127));
                }
            }
            values[index as usize] = value;
        }
        inputs.push(PositionInput {
            token,
            inputs: values,
        });
    }
    inputs
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Weights of scores: `e^-x` for x in steps of 2^-6.
fn score_weights(example: &mut Example) -> u32 {
    let entries = (0..1024).map(|unit| (32_767.0 * (-f64::from(unit) / 64.0).exp()) as i16);
    let entries = entries.collect();
    example.vector(entries, 0)
}

fn sine(example: &mut Example) -> u32 {
    let entries = (0..256).map(|entry| {
        let angle = f64::from(entry) * std::f64::consts::TAU / 256.0;
        (angle.sin() * 16_384.0).round() as i16
    });
    let entries = entries.collect();
    example.vector(entries, -14)
}

/// A program that has every operation.
pub(crate) fn everything() -> Example {
    let mut example = Example::new(true);
    let residual = attention_block(&mut example);
    functions(&mut example, residual);
    experts(&mut example, residual);
    picture(&mut example);
    forest(&mut example);
    example.finish()
}

/// An encoder: every position sees those within two.
pub(crate) fn encoder() -> Example {
    let mut example = Example::new(false);
    attention_block(&mut example);
    example.finish()
}

fn attention_block(example: &mut Example) -> Step {
    let token = example.step(Operation::Token, index(1, 1));
    let position = example.step(Operation::Position, index(1, 1));
    let embed = |example: &mut Example, input, rows| {
        let matrix = example.matrix([rows, WIDTH], Encoding::Int8, -12);
        example.step(Operation::Embed { input, matrix }, scaled(WIDTH, 16, 1))
    };
    let left = embed(example, token, VOCABULARY);
    let right = embed(example, position, 5);
    let residual = example.step(Operation::Add { left, right }, scaled(WIDTH, 16, 1));
    let gain = example.noise_vector(WIDTH as usize, -12);
    let normal = Operation::RootMeanSquare {
        input: residual,
        gain,
        epsilon: Number {
            mantissa: 1 << 20,
            exponent: -40,
        },
        parts: 1,
    };
    let normal = example.step(normal, scaled(WIDTH, 14, 1));
    let queries = example.linear(normal, 16, Encoding::Int8, scaled(16, 14, 2));
    let keys = example.linear(normal, 8, Encoding::Int8, scaled(8, 14, 1));
    let values = example.linear(normal, 4, Encoding::Int4, fixed(1, 4, 12, &[-3]));
    let sine = sine(example);
    let mut rotate = |input, heads, halves, output| {
        let rotation = Rotation {
            steps: vec![1 << 60, 987_654_321_987_654_321, 1 << 52],
            sine,
            halves,
        };
        let operation = Operation::Rotate {
            input,
            heads,
            rotation,
        };
        example.step(operation, output)
    };
    let queries = rotate(queries, 2, true, fixed(1, 16, 12, &[-4, -5]));
    let keys = rotate(keys, 1, false, fixed(1, 8, 12, &[-4]));
    let weights = score_weights(example);
    let table = example.table(8, -3, |x| 2.0 * (x / 2.0).tanh() / 2.0);
    let scale = |multiplier, places| Scale { multiplier, places };
    let attention = Attention {
        heads: 2,
        kv_heads: 1,
        window: Some(3),
        scales: vec![scale(3, 9), scale(300, 16)],
        weights,
        cap: Some(Cap {
            scales: vec![scale(1, 12), scale(11, 15)],
            table,
        }),
    };
    let attend = Operation::Attend {
        queries,
        keys,
        values,
        attention,
    };
    let attended = example.step(attend, scaled(8, 14, 1));
    let matrix = example.matrix([WIDTH, 8], Encoding::Int6, -10);
    let bias = Some(example.noise_vector(WIDTH as usize, -8));
    let linear = Operation::Linear {
        input: attended,
        matrix,
        bias,
    };
    let right = example.step(linear, scaled(WIDTH, 16, 1));
    let left = residual;
    example.step(Operation::Add { left, right }, scaled(WIDTH, 16, 1))
}

/// What works on single elements or rows.
fn functions(example: &mut Example, residual: Step) {
    let centred = example.step(Operation::Centre(residual), scaled(WIDTH, 16, 1));
    let gain = example.noise_vector(4, -12);
    let normal = Operation::RootMeanSquare {
        input: centred,
        gain,
        epsilon: Number {
            mantissa: 0,
            exponent: 0,
        },
        parts: 4,
    };
    let normal = example.step(normal, scaled(WIDTH, 14, 2));
    let joined = example.step(Operation::Cast(normal), scaled(WIDTH, 12, 1));
    let gate = example.table(10, -6, logistic);
    let sigmoid = example.step(
        Operation::Lookup {
            input: joined,
            table: gate,
        },
        fixed(1, WIDTH, 16, &[-15]),
    );
    for other in [None, Some(sigmoid)] {
        let operation = Operation::Gate {
            input: joined,
            other,
            table: gate,
        };
        example.step(operation, scaled(WIDTH, 14, 4));
    }
    let constant = example.noise_vector(WIDTH as usize, -11);
    let constant = example.step(Operation::Constant(constant), fixed(1, WIDTH, 16, &[-11]));
    let product = Operation::Multiply {
        left: constant,
        right: residual,
    };
    let product = example.step(product, scaled(WIDTH, 14, 1));
    example.step(Operation::Rectify(product), scaled(WIDTH, 14, 1));
    // A recurrent network: each state is the input and half of the state before.
    let state = example.program.steps.len() as Step + 2;
    let before = example.step(Operation::Delay(state), fixed(1, WIDTH, 16, &[-10]));
    let half = example.table(12, -10, |x| x / 2.0);
    let before = Operation::Lookup {
        input: before,
        table: half,
    };
    let before = example.step(before, scaled(WIDTH, 14, 1));
    let sum = Operation::Add {
        left: before,
        right: product,
    };
    example.step(sum, fixed(1, WIDTH, 16, &[-10]));
    for reduction in [Reduction::Greatest, Reduction::Sum, Reduction::Mean] {
        let reduce = Operation::Reduce {
            input: product,
            reduction,
        };
        example.step(reduce, scaled(1, 12, 1));
    }
}

/// A router and experts, and logits.
fn experts(example: &mut Example, residual: Step) {
    let logits = example.linear(
        residual,
        VOCABULARY,
        Encoding::Int4,
        fixed(1, VOCABULARY, 16, &[-6]),
    );
    example.step(Operation::Largest(logits), index(1, 1));
    let router = example.linear(residual, 5, Encoding::Int8, scaled(5, 14, 1));
    let chosen = Operation::Choose {
        input: router,
        count: 2,
    };
    let chosen = example.step(chosen, index(1, 2));
    let taken = Operation::Take {
        input: router,
        indices: chosen,
    };
    let taken = example.step(taken, scaled(2, 14, 1));
    let weights = score_weights(example);
    let softmax = Operation::Softmax {
        input: taken,
        exponent: -10,
        scale: Scale {
            multiplier: 1,
            places: 4,
        },
        weights,
    };
    let shares = example.step(softmax, fixed(1, 2, 16, &[-15]));
    let matrices: Vec<u32> = (0..5)
        .map(|_| example.matrix([WIDTH, WIDTH], Encoding::Int8, -14))
        .collect();
    let mut sums = vec![];
    for column in 0..2 {
        let expert = Operation::Expert {
            input: residual,
            choice: chosen,
            column,
            matrices: matrices.clone(),
        };
        let left = example.step(expert, scaled(WIDTH, 14, 1));
        let spread = Operation::View {
            input: shares,
            offset: column,
            axes: vec![(WIDTH, 0)],
        };
        let right = example.step(spread, fixed(1, WIDTH, 16, &[-15]));
        sums.push(example.step(Operation::Multiply { left, right }, scaled(WIDTH, 14, 1)));
    }
    let [left, right] = sums[..] else { return };
    example.step(Operation::Add { left, right }, scaled(WIDTH, 14, 1));
}

/// A picture of 4 by 3 pixels with 4 channels.
fn picture(example: &mut Example) {
    let picture = example.input(InputForm::Numbers, fixed(12, 4, 8, &[-7]));
    let window = Window {
        input: [4, 3],
        size: [3, 2],
        stride: [2, 1],
        before: [1, 0],
        after: [1, 1],
        dilation: [1, 1],
    };
    for (groups, outputs) in [(1, 6), (4, 8)] {
        let matrix = example.matrix([outputs, 6 * 4 / groups], Encoding::Int8, -14);
        let bias = (groups == 1).then(|| example.noise_vector(outputs as usize, -12));
        let convolve = Operation::Convolve {
            input: picture,
            matrix,
            bias,
            window: window.clone(),
            groups,
        };
        example.step(convolve, fixed(6, outputs, 12, &[-6]));
    }
    for pooling in [Pooling::Greatest, Pooling::Mean, Pooling::MeanOfAll] {
        let pool = Operation::Pool {
            input: picture,
            pooling,
            window: window.clone(),
        };
        example.step(pool, fixed(6, 4, 12, &[-9]));
    }
    let turned = Operation::View {
        input: picture,
        offset: 3,
        axes: vec![(4, -1), (12, 4)],
    };
    let turned = example.step(turned, fixed(4, 12, 8, &[-7]));
    let both = example.step(
        Operation::Join(vec![turned, turned]),
        fixed(8, 12, 8, &[-7]),
    );
    let product = Operation::Product {
        left: turned,
        right: both,
    };
    example.step(product, fixed(4, 8, 14, &[-8]));
}

fn forest(example: &mut Example) {
    let thresholds = [[-1.5_f32, 0.25], [1.0, 2.0]];
    let ranks = thresholds.map(|of| of.map(f32::to_bits).to_vec()).to_vec();
    let input = example.input(InputForm::Ranks(ranks), index(1, 2));
    let decision = |feature, threshold, below, otherwise| Branch::Decision {
        feature,
        threshold,
        below,
        otherwise,
    };
    let leaf = |output, value, more| Branch::Leaf {
        output,
        value,
        more,
    };
    let nodes = vec![
        decision(0, 2, 1, 4),
        decision(1, 1, 2, 5),
        leaf(0, 1_000, true),
        leaf(1, -70_000, false),
        leaf(1, 5, false),
        leaf(0, -3, false),
    ];
    let trees = Operation::Trees {
        input,
        nodes,
        roots: vec![0, 1, 5],
        exponent: -16,
    };
    example.step(trees, scaled(2, 16, 2));
}
