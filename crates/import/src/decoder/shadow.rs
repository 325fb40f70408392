//! The float original, run layer by layer beside the conversion: what ranges values have, and what they should be.

use super::{
    Activation, FeedForward, Norm, Part, Role, Source, SourceError, checked_bias, checked_weight,
    gain,
};
pub use crate::floats::Arithmetic;
use crate::floats::{self, attend, multiply, turn};
use std::ops::Range;

/// What a layer's values reached on the calibration tokens, head by head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LayerRanges {
    /// Of queries: magnitudes of rotated pairs, so that no later position can turn them out of range.
    pub(crate) queries: Vec<f32>,
    /// Of keys, likewise.
    pub(crate) keys: Vec<f32>,
    /// Of values.
    pub(crate) values: Vec<f32>,
    /// Root of the mean square of each channel that attention's matrices read.
    pub(crate) attention_channels: Vec<f32>,
    /// Of each channel that the feed-forward block reads.
    pub(crate) feed_forward_channels: Vec<f32>,
}

/// What logits reached on the calibration tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogitsRange {
    /// The greatest magnitude before the final cap.
    pub(crate) greatest: f32,
    /// Root of the mean square of each channel that the output matrix reads.
    pub(crate) channels: Vec<f32>,
}

/// What the float original gives for the evaluation tokens: rows of positions, one text after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatRun {
    /// The tokens.
    pub texts: Vec<Vec<u32>>,
    /// The residual stream after the embedding and after each layer: positions times width.
    pub residuals: Vec<Vec<f32>>,
    /// What the program gives: logits, positions times vocabulary, or the final norm's rows, positions times width.
    pub output: Vec<f32>,
}

/// The residual stream of all texts, as far as the layers were run.
pub(crate) struct Shadow<'s> {
    source: &'s dyn Source,
    texts: Vec<Range<usize>>,
    /// Positions up to here are calibration; those after it are evaluation.
    calibration: usize,
    tokens: Vec<u32>,
    hidden: Vec<f32>,
    arithmetic: Arithmetic,
    threads: usize,
}

impl<'s> Shadow<'s> {
    /// Looks up the embeddings of all texts.
    pub(crate) fn new(
        source: &'s dyn Source,
        calibration: &[Vec<u32>],
        evaluation: &[Vec<u32>],
        arithmetic: Arithmetic,
        threads: usize,
    ) -> Result<Self, SourceError> {
        let (config, mut tokens, mut texts) = (source.config(), vec![], vec![]);
        for text in calibration.iter().chain(evaluation) {
            texts.push(tokens.len()..tokens.len() + text.len());
            tokens.extend(text.iter().map(|token| (*token).min(config.vocabulary - 1)));
        }
        let width = config.width as usize;
        let mut hidden = vec![0.0; tokens.len() * width];
        let table = checked_weight(source, Role::TokenEmbedding)?;
        for (row, token) in hidden.chunks_mut(width).zip(&tokens) {
            table.read_row(*token as usize, row)?;
            arithmetic.weights(row);
            for x in row {
                *x *= config.embedding_scale as f32;
            }
        }
        if config.learned_positions {
            let table = checked_weight(source, Role::PositionEmbedding)?;
            let mut add = vec![0.0; width];
            for text in &texts {
                for (position, row) in text.clone().enumerate() {
                    table.read_row(position.min(table.rows() - 1), &mut add)?;
                    for (x, y) in hidden[row * width..][..width].iter_mut().zip(&add) {
                        *x += y;
                    }
                }
            }
        }
        let calibration = calibration.iter().map(Vec::len).sum();
        Ok(Self {
            source,
            texts,
            calibration,
            tokens,
            hidden,
            arithmetic,
            threads,
        })
    }

    /// The residual stream at the evaluation positions.
    pub(crate) fn evaluated(&self) -> &[f32] {
        &self.hidden[self.calibration * self.source.config().width as usize..]
    }

    fn normalised(&self, x: &[f32], role: Role) -> Result<Vec<f32>, SourceError> {
        let gain = gain(self.source, role)?;
        let bias = checked_bias(self.source, role)?;
        let mut rows = x.to_vec();
        match self.source.config().norm {
            Norm::RootMeanSquare { epsilon, .. } => {
                floats::root_mean_square(&mut rows, &gain, epsilon)
            }
            Norm::Layer { epsilon } => floats::layer_norm(&mut rows, &gain, epsilon),
        }
        floats::add_bias(&mut rows, bias.as_deref());
        Ok(rows)
    }

    fn linear(&self, x: &[f32], role: Role) -> Result<Vec<f32>, SourceError> {
        let tensor = checked_weight(self.source, role)?;
        let bias = checked_bias(self.source, role)?;
        let mut rows = multiply(x, &tensor, self.arithmetic, self.threads)?;
        floats::add_bias(&mut rows, bias.as_deref());
        Ok(rows)
    }

    /// Runs a layer; gives the ranges of what attention reads.
    pub(crate) fn layer(&mut self, layer: u32) -> Result<LayerRanges, SourceError> {
        let config = self.source.config();
        let role = |part| Role::Layer(layer, part);
        let x = self.normalised(&self.hidden, role(Part::AttentionNorm))?;
        let head = config.head_width as usize;
        let mut queries = self.linear(&x, role(Part::Query))?;
        let mut keys = self.linear(&x, role(Part::Key))?;
        let mut values = self.linear(&x, role(Part::Value))?;
        if let (true, Norm::RootMeanSquare { epsilon, .. } | Norm::Layer { epsilon }) =
            (config.query_key_norm, config.norm)
        {
            floats::root_mean_square(
                &mut queries,
                &gain(self.source, role(Part::QueryNorm))?,
                epsilon,
            );
            floats::root_mean_square(&mut keys, &gain(self.source, role(Part::KeyNorm))?, epsilon);
        }
        let definition = &config.layers[layer as usize];
        let rotary = definition.rotary.as_ref();
        let calibration = self.calibration;
        let range = |x: &[f32], heads: u32, rotary| {
            floats::ranges(
                &x[..calibration * heads as usize * head],
                heads as usize,
                head,
                rotary,
            )
        };
        let channels = |x: &[f32]| floats::channel_sizes(x, config.width as usize, calibration);
        let mut ranges = LayerRanges {
            attention_channels: channels(&x),
            feed_forward_channels: vec![],
            queries: range(&queries, config.heads, rotary),
            keys: range(&keys, config.kv_heads, rotary),
            values: range(&values, config.kv_heads, None),
        };
        if let Some(rotary) = rotary {
            turn(&mut queries, &self.texts, head, rotary);
            turn(&mut keys, &self.texts, head, rotary);
        }
        self.arithmetic.cached(&mut keys);
        self.arithmetic.cached(&mut values);
        let mixed = attend(
            [&queries, &keys, &values],
            &self.texts,
            config,
            definition.window,
            self.threads,
        );
        let given = self.linear(&mixed, role(Part::AttentionOutput))?;
        self.add(given, role(Part::PostAttentionNorm))?;
        let x = self.normalised(&self.hidden, role(Part::FeedForwardNorm))?;
        ranges.feed_forward_channels = channels(&x);
        let given = self.feed_forward(&x, layer)?;
        self.add(given, role(Part::PostFeedForwardNorm))?;
        Ok(ranges)
    }

    fn feed_forward(&self, x: &[f32], layer: u32) -> Result<Vec<f32>, SourceError> {
        let role = |part| Role::Layer(layer, part);
        let up = self.linear(x, role(Part::Up))?;
        let inner: Vec<f32> = match self.source.config().feed_forward {
            FeedForward::Gated(function) => {
                let gate = self.linear(x, role(Part::Gate))?;
                gate.iter()
                    .zip(&up)
                    .map(|(g, u)| activated(function, *g) * u)
                    .collect()
            }
            FeedForward::Plain(function) => up.iter().map(|u| activated(function, *u)).collect(),
        };
        self.linear(&inner, role(Part::Down))
    }

    fn add(&mut self, given: Vec<f32>, norm: Role) -> Result<(), SourceError> {
        let given = if self.source.config().post_norms {
            self.normalised(&given, norm)?
        } else {
            given
        };
        for (x, y) in self.hidden.iter_mut().zip(given) {
            *x += y;
        }
        Ok(())
    }

    /// What logits are calibrated by, and the logits of the evaluation tokens.
    pub(crate) fn logits(&self) -> Result<(LogitsRange, Vec<f32>), SourceError> {
        let config = self.source.config();
        let x = self.normalised(&self.hidden, Role::FinalNorm)?;
        let role = if config.tied {
            Role::TokenEmbedding
        } else {
            Role::Output
        };
        let width = config.width as usize;
        let (mut greatest, mut evaluated) = (0_f32, vec![]);
        // Some positions at a time: a vocabulary is large.
        for (index, rows) in x.chunks(64 * width).enumerate() {
            let logits = self.linear(rows, role)?;
            for (place, row) in logits.chunks(config.vocabulary as usize).enumerate() {
                let calibrates = index * 64 + place < self.calibration;
                if calibrates {
                    greatest = row.iter().fold(greatest, |most, x| most.max(x.abs()));
                } else {
                    evaluated.extend(row.iter().map(|x| match config.final_cap {
                        None => *x,
                        Some(cap) => (cap * (f64::from(*x) / cap).tanh()) as f32,
                    }));
                }
            }
        }
        let channels = floats::channel_sizes(&x, width, self.calibration);
        Ok((LogitsRange { greatest, channels }, evaluated))
    }

    /// The final norm's rows of the evaluation tokens.
    pub(crate) fn final_rows(&self) -> Result<Vec<f32>, SourceError> {
        self.normalised(self.evaluated(), Role::FinalNorm)
    }

    /// The evaluation texts.
    pub(crate) fn evaluation_texts(&self) -> Vec<Vec<u32>> {
        let texts = self
            .texts
            .iter()
            .filter(|text| text.start >= self.calibration);
        texts
            .map(|text| self.tokens[text.clone()].to_vec())
            .collect()
    }
}

fn activated(function: Activation, x: f32) -> f32 {
    (f64::from(x) * function.factor(f64::from(x))) as f32
}
