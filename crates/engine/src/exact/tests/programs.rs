//! Small random programs: decoders and encoders of many shapes, recurrent ones, and one with every other operation.

use crate::exact::Model;
use og_program::{
    file::{Manifest, describe},
    matrix::{Encoding, Matrix},
    operation::{
        Attention, Branch, Cap, Number, Operation, Pooling, Reduction, Rotation, Scale, Step,
        Table, Vector, Window,
    },
    program::{InputDefinition, InputForm, OutputDefinition, Program, StepDefinition, VERSION},
    value::{Form, Type},
};

/// A repeatable source of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}

/// A program that is being put together.
pub(crate) struct Builder {
    pub(crate) numbers: Numbers,
    program: Program,
    matrices: Vec<Vec<u8>>,
}

fn scaled(width: usize, bits: u8) -> Type {
    Type {
        rows: 1,
        width: width as u32,
        form: Form::Scaled { bits, parts: 1 },
    }
}

fn fixed(rows: usize, width: usize, bits: u8, exponents: Vec<i32>) -> Type {
    Type {
        rows: rows as u32,
        width: width as u32,
        form: Form::Fixed { bits, exponents },
    }
}

fn index(rows: usize, width: usize) -> Type {
    Type {
        rows: rows as u32,
        width: width as u32,
        form: Form::Index,
    }
}

impl Builder {
    pub(crate) fn new(seed: u64, causal: bool, vocabulary: u32) -> Self {
        Self {
            numbers: Numbers(seed),
            program: Program {
                version: VERSION,
                causal,
                positions: 512,
                vocabulary,
                inputs: vec![],
                outputs: vec![],
                steps: vec![],
                vectors: vec![],
                tables: vec![],
                matrices: vec![],
            },
            matrices: vec![],
        }
    }

    pub(crate) fn step(&mut self, operation: Operation, output: Type) -> Step {
        self.program.steps.push(StepDefinition {
            name: format!("step {}", self.program.steps.len()),
            operation,
            output,
        });
        (self.program.steps.len() - 1) as Step
    }

    fn vector(&mut self, length: usize, low: i64, high: i64, exponent: i32) -> u32 {
        let mantissas = (0..length)
            .map(|_| self.numbers.between(low, high) as i16)
            .collect();
        self.program.vectors.push(Vector {
            mantissas,
            exponent,
        });
        (self.program.vectors.len() - 1) as u32
    }

    /// Weights of a score that fall with its distance to the greatest.
    fn falling(&mut self) -> u32 {
        let mantissas = (0..200_i32)
            .map(|i| (32_767 / (1 + i * i / 20)) as i16)
            .collect();
        self.program.vectors.push(Vector {
            mantissas,
            exponent: -15,
        });
        (self.program.vectors.len() - 1) as u32
    }

    fn table(&mut self, bits: u8, exponent: i32) -> u32 {
        let mantissas = (0..1 << bits)
            .map(|_| self.numbers.between(-2000, 16_000) as i16)
            .collect();
        self.program.tables.push(Table {
            bits,
            exponent,
            entries: Vector {
                mantissas,
                exponent: -14,
            },
        });
        (self.program.tables.len() - 1) as u32
    }

    pub(crate) fn matrix(&mut self, outputs: usize, inputs: usize) -> u32 {
        let encoding = self
            .numbers
            .pick(&[Encoding::Int8, Encoding::Int4, Encoding::Int6]);
        self.matrix_of(outputs, inputs, encoding, -18)
    }

    fn matrix_of(
        &mut self,
        outputs: usize,
        inputs: usize,
        encoding: Encoding,
        exponent: i32,
    ) -> u32 {
        let shape = Matrix {
            outputs: outputs as u32,
            inputs: inputs as u32,
            encoding,
            exponent,
            largest_shift: 0,
            largest_row_sum: 0,
            hash: [0; 32],
        };
        let layout = shape.layout().unwrap();
        let mut bytes = vec![0; layout.bytes];
        bytes.fill_with(|| self.numbers.next() as u8);
        bytes[layout.shifts.0..][..layout.shifts.1].fill_with(|| self.numbers.below(4) as u8);
        for pair in bytes[layout.minimums.0..][..layout.minimums.1]
            .as_chunks_mut::<2>()
            .0
        {
            pair[1] &= 3;
        }
        let described =
            describe([outputs as u32, inputs as u32], encoding, exponent, &bytes).unwrap();
        self.program.matrices.push(described);
        self.matrices.push(bytes);
        (self.program.matrices.len() - 1) as u32
    }

    fn linear(&mut self, input: Step, inputs: usize, output: Type) -> Step {
        let matrix = self.matrix(output.width as usize, inputs);
        let bias = self
            .numbers
            .coin()
            .then(|| self.vector(output.width as usize, -3000, 3000, -9));
        let operation = Operation::Linear {
            input,
            matrix,
            bias,
        };
        self.step(operation, output)
    }

    fn norm(&mut self, input: Step, width: usize, parts: usize, output: Type) -> Step {
        let gain = self.vector(width / parts, 8000, 16_000, -10);
        let operation = Operation::RootMeanSquare {
            input,
            gain,
            epsilon: Number {
                mantissa: 1000,
                exponent: -20,
            },
            parts: parts as u32,
        };
        self.step(operation, output)
    }

    fn output(&mut self, name: &str, step: Step) {
        let of = &self.program.steps[step as usize].output;
        self.program.outputs.push(OutputDefinition {
            name: name.to_owned(),
            shape: vec![of.rows, of.width],
            step,
        });
    }

    pub(crate) fn finish(self) -> Model {
        let manifest = Manifest {
            program: self.program,
            text: None,
        };
        Model::from_parts(manifest, &self.matrices).unwrap()
    }
}

/// Sizes of a transformer.
struct Sizes {
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
}

/// A transformer with random shapes and features; causal or not.
pub(crate) fn transformer(seed: u64, causal: bool) -> Model {
    let (mut b, residual, logits) = transformer_steps(seed, causal);
    b.output("logits", logits);
    if b.numbers.coin() {
        b.output("embedding", residual);
    }
    b.finish()
}

/// A causal one that gives its last residual stream, a row for each position.
pub(crate) fn embedder(seed: u64) -> Model {
    let (mut b, residual, _) = transformer_steps(seed, true);
    b.output("embedding", residual);
    b.finish()
}

/// The steps of a transformer, its last residual stream, and its logits.
fn transformer_steps(seed: u64, causal: bool) -> (Builder, Step, Step) {
    const VOCABULARY: usize = 50;
    let mut b = Builder::new(seed, causal, VOCABULARY as u32);
    let kv_heads = b.numbers.pick(&[1, 2, 3]);
    let sizes = Sizes {
        hidden: b.numbers.pick(&[24, 32, 80]),
        heads: kv_heads * b.numbers.pick(&[1, 2, 4]),
        kv_heads,
        head: b.numbers.pick(&[4, 10, 32]),
    };
    let residual = scaled(sizes.hidden, 16);
    let token = b.step(Operation::Token, index(1, 1));
    let embedding = b.matrix(VOCABULARY, sizes.hidden);
    let embed = Operation::Embed {
        input: token,
        matrix: embedding,
    };
    let mut x = b.step(embed, residual.clone());
    for _ in 0..b.numbers.pick(&[1, 2, 3]) {
        let attended = attention(&mut b, &sizes, x);
        let sum = Operation::Add {
            left: x,
            right: attended,
        };
        x = b.step(sum, residual.clone());
        let mixed = if b.numbers.coin() {
            experts(&mut b, &sizes, x)
        } else {
            gated(&mut b, &sizes, x)
        };
        let sum = Operation::Add {
            left: x,
            right: mixed,
        };
        x = b.step(sum, residual.clone());
    }
    let normed = b.norm(x, sizes.hidden, 1, scaled(sizes.hidden, 14));
    let logits = b.linear(normed, sizes.hidden, fixed(1, VOCABULARY, 16, vec![-11]));
    (b, x, logits)
}

fn attention(b: &mut Builder, sizes: &Sizes, x: Step) -> Step {
    let Sizes {
        hidden,
        heads,
        kv_heads,
        head,
    } = *sizes;
    let normed = b.norm(x, hidden, 1, scaled(hidden, 14));
    let sine = b.vector(256, -16_384, 16_384, -14);
    let rotation = Rotation {
        steps: (0..b.numbers.below(head / 2 + 1))
            .map(|_| b.numbers.next())
            .collect(),
        sine,
        halves: b.numbers.coin(),
    };
    let qk_norm = b.numbers.coin();
    let exponents = |b: &mut Builder, count: usize| -> Vec<i32> {
        (0..count)
            .map(|_| b.numbers.between(-10, -7) as i32)
            .collect()
    };
    let turned = |b: &mut Builder, count: usize| {
        let width = count * head;
        let mut y = b.linear(normed, hidden, scaled(width, 14));
        if qk_norm {
            y = b.norm(y, width, count, scaled(width, 14));
        }
        let exponents = exponents(b, count);
        let rotate = Operation::Rotate {
            input: y,
            heads: count as u32,
            rotation: rotation.clone(),
        };
        b.step(rotate, fixed(1, width, 12, exponents))
    };
    let queries = turned(b, heads);
    let keys = turned(b, kv_heads);
    let value_width = b.numbers.pick(&[head, 6]) * kv_heads;
    let of_values = exponents(b, kv_heads);
    let values = b.linear(normed, hidden, fixed(1, value_width, 12, of_values));
    let weights = b.falling();
    let scales = |b: &mut Builder, places: u32| -> Vec<Scale> {
        (0..heads)
            .map(|_| Scale {
                multiplier: b.numbers.between(1, 65_536) as u32,
                places,
            })
            .collect()
    };
    let cap = b.numbers.coin().then(|| Cap {
        scales: scales(b, 28),
        table: b.table(8, -4),
    });
    let places = if cap.is_some() { 24 } else { 30 };
    let attention = Attention {
        heads: heads as u32,
        kv_heads: kv_heads as u32,
        window: b.numbers.pick(&[None, Some(1), Some(7), Some(40)]),
        scales: scales(b, places),
        weights,
        cap,
    };
    let width = value_width / kv_heads * heads;
    let attend = Operation::Attend {
        queries,
        keys,
        values,
        attention,
    };
    let each = Type {
        rows: 1,
        width: width as u32,
        form: Form::Scaled {
            bits: 14,
            parts: heads as u32,
        },
    };
    let means = b.step(attend, each);
    let mean = b.step(Operation::Cast(means), scaled(width, 14));
    b.linear(mean, width, scaled(hidden, 16))
}

fn gated(b: &mut Builder, sizes: &Sizes, x: Step) -> Step {
    let normed = b.norm(x, sizes.hidden, 1, scaled(sizes.hidden, 14));
    let wide = 2 * sizes.hidden;
    let gate = b.linear(normed, sizes.hidden, scaled(wide, 14));
    let up = b.linear(normed, sizes.hidden, scaled(wide, 14));
    let table = b.table(10, -5);
    let gated = Operation::Gate {
        input: gate,
        other: Some(up),
        table,
    };
    let gated = b.step(gated, scaled(wide, 13));
    b.linear(gated, wide, scaled(sizes.hidden, 16))
}

/// A router's two choices of three experts, weighted.
fn experts(b: &mut Builder, sizes: &Sizes, x: Step) -> Step {
    let hidden = sizes.hidden;
    let normed = b.norm(x, hidden, 1, scaled(hidden, 14));
    let routed = b.linear(normed, hidden, scaled(3, 14));
    let choice = Operation::Choose {
        input: routed,
        count: 2,
    };
    let choice = b.step(choice, index(1, 2));
    let taken = Operation::Take {
        input: routed,
        indices: choice,
    };
    let taken = b.step(taken, scaled(2, 14));
    let weights = b.falling();
    let softmax = Operation::Softmax {
        input: taken,
        exponent: -8,
        scale: Scale {
            multiplier: 30_000,
            places: 16,
        },
        weights,
    };
    b.step(softmax, fixed(1, 2, 15, vec![-14]));
    let matrices: Vec<u32> = (0..3).map(|_| b.matrix(hidden, hidden)).collect();
    let each: Vec<Step> = (0..2)
        .map(|column| {
            let expert = Operation::Expert {
                input: normed,
                choice,
                column,
                matrices: matrices.clone(),
            };
            b.step(expert, scaled(hidden, 16))
        })
        .collect();
    let sum = Operation::Add {
        left: each[0],
        right: each[1],
    };
    b.step(sum, scaled(hidden, 16))
}

/// A recurrent network: a gate, a state that is delayed, and a token that is.
pub(crate) fn recurrent(seed: u64) -> Model {
    let mut b = Builder::new(seed, true, 40);
    let width = b.numbers.pick(&[8, 24]);
    let token = b.step(Operation::Token, index(1, 1));
    let before = b.step(Operation::Delay(token), index(1, 1));
    let matrix = b.matrix(40, width);
    let embed = |input| Operation::Embed { input, matrix };
    let now = b.step(embed(token), scaled(width, 14));
    let old = b.step(embed(before), scaled(width, 14));
    let both = b.step(
        Operation::Add {
            left: now,
            right: old,
        },
        scaled(width, 14),
    );
    // The state is computed three steps on.
    let delayed = b.step(Operation::Delay(both + 4), fixed(1, width, 12, vec![-8]));
    let turned = b.linear(delayed, width, scaled(width, 14));
    let sum = b.step(
        Operation::Add {
            left: both,
            right: turned,
        },
        scaled(width, 14),
    );
    let table = b.table(8, -4);
    let state = b.step(
        Operation::Lookup { input: sum, table },
        fixed(1, width, 12, vec![-8]),
    );
    assert_eq!(state, both + 4);
    let scaled_state = b.step(Operation::Cast(state), scaled(width, 13));
    let delayed = b.step(Operation::Delay(scaled_state), scaled(width, 13));
    let logits = b.linear(delayed, width, fixed(1, 40, 16, vec![-11]));
    b.output("logits", logits);
    b.output("state", state);
    b.finish()
}

/// Every operation that the others have not: pictures, products, reductions, trees.
pub(crate) fn picture(seed: u64) -> Model {
    let mut b = Builder::new(seed, true, 0);
    let (height, width, channels) = (6, b.numbers.pick(&[5, 8]), 4);
    let pixels = height * width;
    b.program.inputs = vec![
        InputDefinition {
            name: "picture".to_owned(),
            shape: vec![pixels as u32, channels as u32],
            form: InputForm::Numbers,
        },
        InputDefinition {
            name: "ranks".to_owned(),
            shape: vec![2, 3],
            form: InputForm::Indices,
        },
    ];
    let picture = b.step(Operation::Input(0), fixed(pixels, channels, 12, vec![-6]));
    let groups = b.numbers.pick(&[1, 2, 4]);
    let window = Window {
        input: [height as u32, width as u32],
        size: b.numbers.pick(&[[3, 3], [1, 1], [2, 3]]),
        stride: b.numbers.pick(&[[1, 1], [2, 1]]),
        before: [1, 1],
        after: b.numbers.pick(&[[1, 1], [0, 2]]),
        dilation: b.numbers.pick(&[[1, 1], [1, 2]]),
    };
    let [down, across] = window.output().unwrap();
    let patch = (window.size[0] * window.size[1]) as usize * channels / groups;
    let outputs = 4 * b.numbers.pick(&[1, 5]);
    let matrix = b.matrix(outputs, patch);
    let bias = b.numbers.coin().then(|| b.vector(outputs, -3000, 3000, -9));
    let convolve = Operation::Convolve {
        input: picture,
        matrix,
        bias,
        window,
        groups: groups as u32,
    };
    let places = (down * across) as usize;
    let convolved = b.step(convolve, fixed(places, outputs, 13, vec![-6]));
    let rectified = b.step(
        Operation::Rectify(convolved),
        fixed(places, outputs, 13, vec![-6]),
    );
    let pool = Window {
        input: [down, across],
        size: [2, 2],
        stride: [2, 1],
        before: [0, 0],
        after: [1, 1],
        dilation: [1, 1],
    };
    let pooled_places = pool.output().unwrap().iter().product::<u32>() as usize;
    let pooling = b
        .numbers
        .pick(&[Pooling::Greatest, Pooling::Mean, Pooling::MeanOfAll]);
    let pooled = Operation::Pool {
        input: rectified,
        pooling,
        window: pool,
    };
    let pooled = b.step(pooled, fixed(pooled_places, outputs, 12, vec![-6]));
    let axes = vec![(outputs as u32, 1), (pooled_places as u32, outputs as i32)];
    let turned = Operation::View {
        input: pooled,
        offset: 0,
        axes,
    };
    let turned = b.step(turned, fixed(outputs, pooled_places, 12, vec![-6]));
    let product = Operation::Product {
        left: turned,
        right: turned,
    };
    let product = b.step(product, fixed(outputs, outputs, 12, vec![-2]));
    let constant_rows = b.vector(outputs, -2000, 2000, -2);
    let constant = b.step(
        Operation::Constant(constant_rows),
        fixed(outputs, outputs, 12, vec![-2]),
    );
    let joined = b.step(
        Operation::Join(vec![product, constant]),
        fixed(2, outputs * outputs, 12, vec![-2]),
    );
    let centred = b.step(
        Operation::Centre(joined),
        Type {
            rows: 2,
            width: (outputs * outputs) as u32,
            form: Form::Scaled { bits: 14, parts: 2 },
        },
    );
    let halves = Operation::Multiply {
        left: centred,
        right: centred,
    };
    let squares = b.step(
        halves,
        Type {
            rows: 2,
            width: (outputs * outputs) as u32,
            form: Form::Scaled { bits: 15, parts: 1 },
        },
    );
    let reduction = b
        .numbers
        .pick(&[Reduction::Greatest, Reduction::Sum, Reduction::Mean]);
    let reduced = Operation::Reduce {
        input: squares,
        reduction,
    };
    let reduced = b.step(
        reduced,
        Type {
            rows: 2,
            width: 1,
            form: Form::Scaled { bits: 16, parts: 1 },
        },
    );
    let largest = b.step(Operation::Largest(squares), index(2, 1));
    let position = b.step(Operation::Position, index(1, 1));
    let ranks = b.step(Operation::Input(1), index(2, 3));
    let trees = trees(&mut b);
    let voted = Operation::Trees {
        input: ranks,
        nodes: trees,
        roots: vec![0, 2],
        exponent: -4,
    };
    let voted = b.step(voted, fixed(2, 3, 16, vec![-4]));
    for (name, step) in [
        ("reduced", reduced),
        ("largest", largest),
        ("position", position),
        ("voted", voted),
    ] {
        b.output(name, step);
    }
    b.finish()
}

fn trees(b: &mut Builder) -> Vec<Branch> {
    let decision = |b: &mut Builder, below, otherwise| Branch::Decision {
        feature: b.numbers.below(3) as u32,
        threshold: b.numbers.below(10) as u32,
        below,
        otherwise,
    };
    let leaf = |b: &mut Builder, more| Branch::Leaf {
        output: b.numbers.below(3) as u32,
        value: b.numbers.between(-1000, 1000) as i32,
        more,
    };
    vec![
        decision(b, 1, 4),
        decision(b, 3, 6),
        decision(b, 5, 3),
        leaf(b, false),
        leaf(b, true),
        leaf(b, true),
        leaf(b, false),
    ]
}
