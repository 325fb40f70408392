//! A decoder with random weights, for measurements: any configuration, reproducible from a seed.

use super::{
    Activation, DecoderConfig, FeedForward, LayerConfig, Norm, Part, Role, Rotary, Source,
    SourceError,
};
use crate::tensor::{Tensor, mixed};

/// The extents of a Llama-shaped decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    /// Elements of the residual stream.
    pub width: u32,
    /// Layers.
    pub layers: u32,
    /// Heads of queries.
    pub heads: u32,
    /// Heads of keys and values.
    pub kv_heads: u32,
    /// Elements inside the feed-forward block.
    pub feed_forward_width: u32,
    /// Tokens.
    pub vocabulary: u32,
}

/// The shapes that figures are given for.
pub const SHAPES: [Shape; 3] = [
    Shape {
        name: "15m",
        width: 288,
        layers: 6,
        heads: 6,
        kv_heads: 6,
        feed_forward_width: 768,
        vocabulary: 32_000,
    },
    Shape {
        name: "124m",
        width: 768,
        layers: 12,
        heads: 12,
        kv_heads: 12,
        feed_forward_width: 2048,
        vocabulary: 32_000,
    },
    Shape {
        name: "1b",
        width: 2048,
        layers: 22,
        heads: 32,
        kv_heads: 4,
        feed_forward_width: 5632,
        vocabulary: 32_000,
    },
];

impl Shape {
    /// The shape of a name.
    pub fn named(name: &str) -> Option<Self> {
        SHAPES.into_iter().find(|shape| shape.name == name)
    }

    /// A Llama-shaped decoder of these extents for 2,048 positions.
    pub fn config(&self) -> DecoderConfig {
        let head_width = self.width / self.heads.max(1);
        let pairs = (0..head_width / 2)
            .map(|pair| 10_000_f64.powf(-f64::from(2 * pair) / f64::from(head_width)));
        let rotary = Rotary {
            halves: false,
            frequencies: pairs.collect(),
            factor: 1.0,
        };
        let layer = LayerConfig {
            window: None,
            rotary: Some(rotary),
        };
        DecoderConfig {
            vocabulary: self.vocabulary,
            positions: 2048,
            width: self.width,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_width,
            feed_forward_width: self.feed_forward_width,
            layers: vec![layer; self.layers as usize],
            norm: Norm::RootMeanSquare {
                epsilon: 1e-5,
                plus_one: false,
            },
            query_key_norm: false,
            post_norms: false,
            feed_forward: FeedForward::Gated(Activation::Silu),
            learned_positions: false,
            attention_scale: 1.0 / f64::from(head_width).sqrt(),
            attention_cap: None,
            final_cap: None,
            embedding_scale: 1.0,
            tied: false,
        }
    }
}

/// Random weights: matrices keep the size of what they are multiplied with, gains are about 1.
#[derive(Clone, Debug)]
pub struct Random {
    config: DecoderConfig,
    seed: u64,
    /// One in this many gains is `outlier` times as large; none if 0.
    every: u64,
    outlier: f32,
    biases: bool,
}

impl Random {
    /// Weights of a seed.
    pub const fn new(config: DecoderConfig, seed: u64) -> Self {
        Self {
            config,
            seed,
            every: 0,
            outlier: 1.0,
            biases: false,
        }
    }

    /// Makes one in `every` gains of norms `times` as large, as trained models have it.
    #[must_use]
    pub const fn with_outliers(mut self, every: u64, times: f32) -> Self {
        (self.every, self.outlier) = (every, times);
        self
    }

    /// Adds biases to matrices and norms.
    #[must_use]
    pub const fn with_biases(mut self) -> Self {
        self.biases = true;
        self
    }

    const fn seed_of(&self, role: Role, salt: u64) -> u64 {
        let place = match role {
            Role::TokenEmbedding => 0,
            Role::PositionEmbedding => 1,
            Role::FinalNorm => 2,
            Role::Output => 3,
            Role::Layer(layer, part) => 64 + layer as u64 * 64 + part as u64,
        };
        mixed(mixed(self.seed).wrapping_add(place * 4 + salt))
    }
}

const fn is_norm(role: Role) -> bool {
    matches!(
        role,
        Role::FinalNorm
            | Role::Layer(
                _,
                Part::AttentionNorm
                    | Part::QueryNorm
                    | Part::KeyNorm
                    | Part::PostAttentionNorm
                    | Part::FeedForwardNorm
                    | Part::PostFeedForwardNorm
            )
    )
}

impl Source for Random {
    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn weight(&self, role: Role) -> Result<Tensor<'_>, SourceError> {
        let (rows, columns) = self.config.shape(role);
        let (name, seed) = (role.to_string(), self.seed_of(role, 0));
        if !is_norm(role) {
            let deviation = match role {
                Role::TokenEmbedding if !self.config.tied => 1.0,
                Role::PositionEmbedding => 0.5,
                _ => 1.0 / (columns as f32).sqrt(),
            };
            return Ok(Tensor::random(name, rows, columns, seed, deviation));
        }
        let plus_one = matches!(
            self.config.norm,
            Norm::RootMeanSquare { plus_one: true, .. }
        );
        let mut gain = Tensor::random(&*name, rows, columns, seed, 0.2).read()?;
        for (index, x) in gain.iter_mut().enumerate() {
            let chosen = self.every > 0 && mixed(seed ^ index as u64).is_multiple_of(self.every);
            *x = (1.0 + *x) * if chosen { self.outlier } else { 1.0 }
                - if plus_one { 1.0 } else { 0.0 };
        }
        Ok(Tensor::owned(name, rows, columns, gain)?)
    }

    fn bias(&self, role: Role) -> Result<Option<Vec<f32>>, SourceError> {
        let centred = matches!(self.config.norm, Norm::Layer { .. });
        let wanted = if is_norm(role) { centred } else { self.biases };
        if !wanted || matches!(role, Role::Output | Role::TokenEmbedding) {
            return Ok(None);
        }
        let (rows, columns) = self.config.shape(role);
        let length = if is_norm(role) { columns } else { rows };
        Ok(Some(
            Tensor::random(role.to_string(), 1, length, self.seed_of(role, 1), 0.2).read()?,
        ))
    }
}
