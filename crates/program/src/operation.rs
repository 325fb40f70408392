//! The operations of a program, as data (`docs/spec/program.md`, section 4, defines each).

use minicbor::{Decode, Encode};

/// The index of a step of the program: an operation's output. Steps refer to earlier ones, `Delay` excepted.
pub type Step = u32;
/// The index of a matrix of the program.
pub type MatrixIndex = u32;
/// The index of a vector of the program.
pub type VectorIndex = u32;
/// The index of a table of the program.
pub type TableIndex = u32;

/// 16-bit constants with one exponent: gains, biases, tables of functions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Vector {
    /// Mantissas.
    #[n(0)]
    #[cbor(with = "crate::encoding::mantissas")]
    pub mantissas: Vec<i16>,
    /// Exponent of all of them.
    #[n(1)]
    pub exponent: i32,
}

/// A function of one number, by its value at every point of a grid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Table {
    /// `2^bits` entries; entry `i` is the value at `(i - 2^(bits-1)) · 2^exponent`. 4 ≤ bits ≤ 16.
    #[n(0)]
    pub bits: u8,
    /// Exponent of the grid.
    #[n(1)]
    pub exponent: i32,
    /// The entries.
    #[n(2)]
    pub entries: Vector,
}

/// A number that multiplies: `shift(x · multiplier, places)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Scale {
    /// 1 to 65536.
    #[n(0)]
    pub multiplier: u32,
    /// 0 to 62.
    #[n(1)]
    pub places: u32,
}

/// A number with an exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Number {
    /// Below 2^31 in magnitude.
    #[n(0)]
    pub mantissa: i64,
    /// Exponent.
    #[n(1)]
    pub exponent: i32,
}

/// How pairs of elements are turned by an angle that grows with the position.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rotation {
    /// For each pair, the angle of one position in units of 2^-64 turns.
    #[n(0)]
    pub steps: Vec<u64>,
    /// `2^bits` entries of one turn of a sine, with exponent -14; 8 ≤ bits ≤ 16. The cosine is a quarter turn on.
    #[n(1)]
    pub sine: VectorIndex,
    /// Pairs are (i, i + pairs) if true, (2i, 2i + 1) if not.
    #[n(2)]
    pub halves: bool,
}

/// What attention does beside queries, keys and values.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attention {
    /// Heads of the queries; a multiple of `kv_heads`. Query head `h` reads head `h · kv_heads / heads`.
    #[n(0)]
    pub heads: u32,
    /// Heads of keys and values.
    #[n(1)]
    pub kv_heads: u32,
    /// Sees positions `p - window + 1` to `p`; all up to `p` if `None`. In a program that is not causal, also as many
    /// after `p`; all there are if `None`.
    #[n(2)]
    pub window: Option<u32>,
    /// For each query head: how many entries of the table a difference of scores is.
    #[n(3)]
    pub scales: Vec<Scale>,
    /// Entry `i` is the weight of a score that is `i` units below the greatest: 0 to 32767. Its last entry is
    /// the weight of all that are further away.
    #[n(4)]
    pub weights: VectorIndex,
    /// A soft cap: each score is scaled by its head's scale here, clamped to the table, and replaced by its entry.
    #[n(5)]
    pub cap: Option<Cap>,
}

/// A soft cap of scores.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cap {
    /// For each query head: how many units of the table's grid a score is.
    #[n(0)]
    pub scales: Vec<Scale>,
    /// The function of the capped score.
    #[n(1)]
    pub table: TableIndex,
}

/// A window that slides over a picture (or a series: height 1). Rows are pixels in row-major order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Window {
    /// Height and width of the input.
    #[n(0)]
    pub input: [u32; 2],
    /// Height and width of the window.
    #[n(1)]
    pub size: [u32; 2],
    /// Steps down and right.
    #[n(2)]
    pub stride: [u32; 2],
    /// Rows above and columns left that are zero (convolution) or absent (pooling).
    #[n(3)]
    pub before: [u32; 2],
    /// Rows below and columns right.
    #[n(4)]
    pub after: [u32; 2],
    /// Distance between neighbours in the window.
    #[n(5)]
    pub dilation: [u32; 2],
}

/// What a pooling window gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Pooling {
    /// The greatest.
    #[n(0)]
    Greatest,
    /// The mean of those inside the picture.
    #[n(1)]
    Mean,
    /// The sum divided by the size of the window.
    #[n(2)]
    MeanOfAll,
}

/// How a row is reduced to one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Reduction {
    /// The greatest element.
    #[n(0)]
    Greatest,
    /// The sum.
    #[n(1)]
    Sum,
    /// The mean.
    #[n(2)]
    Mean,
}

/// One decision or leaf of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Goes to `below` if the feature's index is less than `threshold`, else to `otherwise`; both later nodes.
    Decision {
        /// Which feature.
        feature: u32,
        /// Compared with.
        threshold: u32,
        /// Next node if less.
        below: u32,
        /// Next node if not.
        otherwise: u32,
    },
    /// Adds a number to an output.
    Leaf {
        /// Which output; a leaf that adds to several is followed by others.
        output: u32,
        /// Added, with the forest's exponent.
        value: i32,
        /// Whether the next node is another leaf of the same place.
        more: bool,
    },
}

/// What a step computes. Operands are earlier steps.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Operation {
    /// The token at this position.
    #[n(0)]
    Token,
    /// The position, from 0.
    #[n(1)]
    Position,
    /// The number `input` of the inputs of this position.
    #[n(2)]
    Input(#[n(0)] u32),
    /// A constant; for each row again if it is as long as one.
    #[n(3)]
    Constant(#[n(0)] VectorIndex),
    /// The row of a matrix that an index names (rows beyond the last: the last).
    #[n(4)]
    Embed {
        /// Indices.
        #[n(0)]
        input: Step,
        /// One row for each index.
        #[n(1)]
        matrix: MatrixIndex,
    },
    /// A matrix times each row, plus a bias.
    #[n(5)]
    Linear {
        /// Rows with one exponent each.
        #[n(0)]
        input: Step,
        /// Weights.
        #[n(1)]
        matrix: MatrixIndex,
        /// Added to the result.
        #[n(2)]
        bias: Option<VectorIndex>,
    },
    /// The sum of two equally shaped matrices.
    #[n(6)]
    Add {
        /// One.
        #[n(0)]
        left: Step,
        /// The other.
        #[n(1)]
        right: Step,
    },
    /// The product, element by element.
    #[n(7)]
    Multiply {
        /// One.
        #[n(0)]
        left: Step,
        /// The other.
        #[n(1)]
        right: Step,
    },
    /// Each part of a row divided by the root of its mean square, times a gain.
    #[n(8)]
    RootMeanSquare {
        /// Rows.
        #[n(0)]
        input: Step,
        /// As long as a part; the root of a part's length is a factor of it.
        #[n(1)]
        gain: VectorIndex,
        /// Added to the sum of squares: the part's length times epsilon. Mantissa not negative.
        #[n(2)]
        epsilon: Number,
        /// Parts of a row.
        #[n(3)]
        parts: u32,
    },
    /// Each row less its mean, times its length.
    #[n(9)]
    Centre(#[n(0)] Step),
    /// Pairs of each head turned by the position's angle.
    #[n(10)]
    Rotate {
        /// Rows.
        #[n(0)]
        input: Step,
        /// Equal parts of a row that are turned alike.
        #[n(1)]
        heads: u32,
        /// Angles.
        #[n(2)]
        rotation: Rotation,
    },
    /// An element times a function of it, times another element: gated activations.
    #[n(11)]
    Gate {
        /// The element that is looked up.
        #[n(0)]
        input: Step,
        /// The other, if any.
        #[n(1)]
        other: Option<Step>,
        /// The function.
        #[n(2)]
        table: TableIndex,
    },
    /// A function of each element.
    #[n(12)]
    Lookup {
        /// The elements.
        #[n(0)]
        input: Step,
        /// The function.
        #[n(1)]
        table: TableIndex,
    },
    /// The same numbers in the output's type.
    #[n(13)]
    Cast(#[n(0)] Step),
    /// Elements below zero become zero.
    #[n(14)]
    Rectify(#[n(0)] Step),
    /// Attention over positions.
    #[n(15)]
    Attend {
        /// Fixed, a part for each head.
        #[n(0)]
        queries: Step,
        /// Fixed, a part for each head of keys.
        #[n(1)]
        keys: Step,
        /// Fixed, a part for each head of keys.
        #[n(2)]
        values: Step,
        /// The rest.
        #[n(3)]
        attention: Attention,
    },
    /// The output of any step at the position before; zeros at the first.
    #[n(16)]
    Delay(#[n(0)] Step),
    /// A matrix times the window around each pixel: `size[0] · size[1] · channels / groups` inputs.
    #[n(17)]
    Convolve {
        /// Fixed, one exponent.
        #[n(0)]
        input: Step,
        /// Inputs in the order row, column, channel of the window.
        #[n(1)]
        matrix: MatrixIndex,
        /// Added to the result.
        #[n(2)]
        bias: Option<VectorIndex>,
        /// Where it slides.
        #[n(3)]
        window: Window,
        /// Equal parts of channels, each with its part of the outputs.
        #[n(4)]
        groups: u32,
    },
    /// One number for each window and channel.
    #[n(18)]
    Pool {
        /// Fixed, one exponent.
        #[n(0)]
        input: Step,
        /// Which number.
        #[n(1)]
        pooling: Pooling,
        /// Where it slides.
        #[n(2)]
        window: Window,
    },
    /// A matrix of the program's values times another.
    #[n(19)]
    Product {
        /// Fixed, one exponent: rows are operands.
        #[n(0)]
        left: Step,
        /// Fixed, one exponent: rows are operands too (the right factor transposed).
        #[n(1)]
        right: Step,
    },
    /// Elements in another order: output `i` is element `offset + Σ stride·index` of the input.
    #[n(20)]
    View {
        /// Fixed with one exponent, or indices.
        #[n(0)]
        input: Step,
        /// The first element.
        #[n(1)]
        offset: u32,
        /// Extents and strides, outermost first; extents multiply to the output's elements.
        #[n(2)]
        axes: Vec<(u32, i32)>,
    },
    /// The elements of one after those of the other. Of one type but for rows and width.
    #[n(21)]
    Join(#[n(0)] Vec<Step>),
    /// `e^x / Σ e^x` of each row.
    #[n(22)]
    Softmax {
        /// One exponent for a row.
        #[n(0)]
        input: Step,
        /// Exponent to which rows are aligned.
        #[n(1)]
        exponent: i32,
        /// Differences to the greatest in units of the table.
        #[n(2)]
        scale: Scale,
        /// As in [`Attention::weights`].
        #[n(3)]
        weights: VectorIndex,
    },
    /// One number for each row.
    #[n(23)]
    Reduce {
        /// One exponent for a row.
        #[n(0)]
        input: Step,
        /// Which number.
        #[n(1)]
        reduction: Reduction,
    },
    /// The index of the greatest element of each row, the lowest where several are equal.
    #[n(24)]
    Largest(#[n(0)] Step),
    /// The sum of the leaves that indices lead to.
    #[n(25)]
    Trees {
        /// Indices: ranks of features.
        #[n(0)]
        input: Step,
        /// Nodes; each tree begins where `roots` says.
        #[n(1)]
        #[cbor(with = "crate::encoding::branches")]
        nodes: Vec<Branch>,
        /// The trees.
        #[n(2)]
        roots: Vec<u32>,
        /// Exponent of leaves.
        #[n(3)]
        exponent: i32,
    },
    /// The indices of the `count` greatest elements of each row, greatest first, the lower index first where
    /// several are equal: a router's choice of experts.
    #[n(26)]
    Choose {
        /// One exponent for a row.
        #[n(0)]
        input: Step,
        /// How many.
        #[n(1)]
        count: u32,
    },
    /// The elements of each row that an equal row of indices names (indices beyond the last: the last).
    #[n(27)]
    Take {
        /// Rows.
        #[n(0)]
        input: Step,
        /// Indices.
        #[n(1)]
        indices: Step,
    },
    /// `Linear` with the matrix that an index names: an expert (indices beyond the last: the last).
    #[n(28)]
    Expert {
        /// Rows with one exponent each.
        #[n(0)]
        input: Step,
        /// Indices, a row for each row of the input.
        #[n(1)]
        choice: Step,
        /// Which column of them.
        #[n(2)]
        column: u32,
        /// One matrix for each expert, all of one shape and exponent.
        #[n(3)]
        matrices: Vec<MatrixIndex>,
    },
}

impl Operation {
    /// The steps it reads, in the order of its fields.
    pub fn operands(&self) -> Vec<Step> {
        match self {
            Self::Token | Self::Position | Self::Input(_) | Self::Constant(_) => vec![],
            Self::Embed { input, .. }
            | Self::Linear { input, .. }
            | Self::RootMeanSquare { input, .. }
            | Self::Centre(input)
            | Self::Rotate { input, .. }
            | Self::Lookup { input, .. }
            | Self::Cast(input)
            | Self::Rectify(input)
            | Self::Delay(input)
            | Self::Convolve { input, .. }
            | Self::Pool { input, .. }
            | Self::View { input, .. }
            | Self::Softmax { input, .. }
            | Self::Reduce { input, .. }
            | Self::Largest(input)
            | Self::Trees { input, .. } => vec![*input],
            Self::Add { left, right }
            | Self::Multiply { left, right }
            | Self::Product { left, right } => {
                vec![*left, *right]
            }
            Self::Gate { input, other, .. } => std::iter::once(*input).chain(*other).collect(),
            Self::Attend {
                queries,
                keys,
                values,
                ..
            } => vec![*queries, *keys, *values],
            Self::Join(inputs) => inputs.clone(),
            Self::Choose { input, .. } => vec![*input],
            Self::Take { input, indices } => vec![*input, *indices],
            Self::Expert { input, choice, .. } => vec![*input, *choice],
        }
    }
}
