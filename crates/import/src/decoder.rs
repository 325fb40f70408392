//! One description of decoder transformers, whatever file they come from, and where their weights are read.

mod build;
mod layer;
mod random;
pub mod rotary;
mod shadow;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use build::Builder;
pub(crate) use layer::LayerSteps;
pub use random::{Random, SHAPES, Shape};
pub use rotary::Rotary;
pub use shadow::{Arithmetic, FloatRun};
pub(crate) use shadow::{LayerRanges, Shadow};
pub use source::{Part, Role, Source, SourceError};
pub(crate) use source::{checked_bias, checked_weight, gain};

/// Largest width, number of layers, heads, and so on that a description may have.
pub const MAX_EXTENT: u32 = 1 << 20;
/// Layers, at most.
pub const MAX_LAYERS: u32 = 1024;

/// A function of one number inside a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// `x · Φ(x)`.
    Gelu,
    /// GELU by its approximation with a hyperbolic tangent.
    GeluTanh,
}

impl Activation {
    /// What `x` is multiplied by.
    pub fn factor(self, x: f64) -> f64 {
        match self {
            Self::Silu => 1.0 / (1.0 + (-x).exp()),
            Self::Gelu => 0.5 * error_function_complement(-x / std::f64::consts::SQRT_2),
            Self::GeluTanh => {
                let root = (2.0 / std::f64::consts::PI).sqrt();
                0.5 * (1.0 + (root * (x + 0.044_715 * x * x * x)).tanh())
            }
        }
    }
}

/// `erfc(x)` to about 1e-7 of its value (Numerical Recipes, Chebyshev fit).
fn error_function_complement(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let sum = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let tail = t * (sum - x * x).exp();
    if x >= 0.0 { tail } else { 2.0 - tail }
}

/// How rows are normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// By the root of the mean square, with a gain.
    RootMeanSquare {
        /// Added to the mean square.
        epsilon: f64,
        /// Whether the gain is one more than the stored weight.
        plus_one: bool,
    },
    /// Centred first, with a gain and a bias.
    Layer {
        /// Added to the variance.
        epsilon: f64,
    },
}

/// The feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedForward {
    /// `down(f(gate(x)) · up(x))`.
    Gated(Activation),
    /// `down(f(up(x)))`.
    Plain(Activation),
}

/// What differs between layers.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerConfig {
    /// Positions that attention sees; all if `None`.
    pub window: Option<u32>,
    /// How queries and keys are turned; not at all if `None`.
    pub rotary: Option<Rotary>,
}

/// A decoder transformer without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Tokens.
    pub vocabulary: u32,
    /// Positions that it was made for.
    pub positions: u32,
    /// Elements of the residual stream.
    pub width: u32,
    /// Heads of queries.
    pub heads: u32,
    /// Heads of keys and values.
    pub kv_heads: u32,
    /// Elements of a head.
    pub head_width: u32,
    /// Elements inside the feed-forward block.
    pub feed_forward_width: u32,
    /// One entry for each layer.
    pub layers: Vec<LayerConfig>,
    /// All norms of the residual stream.
    pub norm: Norm,
    /// Whether queries and keys are normalised (by root mean square, head by head) before they are turned.
    pub query_key_norm: bool,
    /// Whether what attention and feed-forward give is normalised before it is added.
    pub post_norms: bool,
    /// The feed-forward block.
    pub feed_forward: FeedForward,
    /// Whether a table of positions is added to the tokens' embeddings.
    pub learned_positions: bool,
    /// What products of queries and keys are multiplied by.
    pub attention_scale: f64,
    /// Scores become `cap · tanh(score / cap)`.
    pub attention_cap: Option<f64>,
    /// Logits become `cap · tanh(logit / cap)`.
    pub final_cap: Option<f64>,
    /// What embeddings are multiplied by.
    pub embedding_scale: f64,
    /// Whether the output matrix is the embedding.
    pub tied: bool,
}

impl DecoderConfig {
    /// Rows and columns of a weight.
    pub fn shape(&self, role: Role) -> (usize, usize) {
        let (width, head) = (self.width as usize, self.head_width as usize);
        let (queries, keys) = (self.heads as usize * head, self.kv_heads as usize * head);
        let inner = self.feed_forward_width as usize;
        match role {
            Role::TokenEmbedding | Role::Output => (self.vocabulary as usize, width),
            Role::PositionEmbedding => (self.positions as usize, width),
            Role::FinalNorm => (1, width),
            Role::Layer(_, part) => match part {
                Part::Query => (queries, width),
                Part::Key | Part::Value => (keys, width),
                Part::AttentionOutput => (width, queries),
                Part::Gate | Part::Up => (inner, width),
                Part::Down => (width, inner),
                Part::QueryNorm | Part::KeyNorm => (1, head),
                Part::AttentionNorm
                | Part::PostAttentionNorm
                | Part::FeedForwardNorm
                | Part::PostFeedForwardNorm => (1, width),
            },
        }
    }

    /// Whether its numbers make a decoder.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        let extents = [
            ("vocabulary", self.vocabulary),
            ("positions", self.positions),
            ("width", self.width),
            ("heads", self.heads),
            ("key heads", self.kv_heads),
            ("head width", self.head_width),
            ("feed-forward width", self.feed_forward_width),
        ];
        for (name, extent) in extents {
            if !(1..=MAX_EXTENT).contains(&extent) {
                return Err(format!("{name} is {extent}, and must be 1 to {MAX_EXTENT}"));
            }
        }
        if self.layers.is_empty() || self.layers.len() > MAX_LAYERS as usize {
            return Err(format!(
                "{} layers; 1 to {MAX_LAYERS} are possible",
                self.layers.len()
            ));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "{} heads are not a multiple of {} key heads",
                self.heads, self.kv_heads
            ));
        }
        let pairs = self.layers.iter().flat_map(|layer| &layer.rotary);
        if pairs
            .clone()
            .any(|rotary| rotary.frequencies.len() * 2 > self.head_width as usize)
        {
            return Err("more elements are rotated than a head has".to_owned());
        }
        if self.layers.iter().any(|layer| layer.window == Some(0)) {
            return Err("a sliding window of no positions".to_owned());
        }
        let numbers = [
            Some(self.attention_scale),
            Some(self.embedding_scale),
            self.attention_cap,
            self.final_cap,
        ];
        let sound = numbers
            .into_iter()
            .flatten()
            .all(|x| x.is_finite() && x > 1e-9 && x < 1e9);
        let epsilon = match self.norm {
            Norm::RootMeanSquare { epsilon, .. } | Norm::Layer { epsilon } => epsilon,
        };
        if !sound || !(0.0..1.0).contains(&epsilon) {
            return Err("a scale, cap or epsilon is not a sensible number".to_owned());
        }
        Ok(())
    }
}
