//! A decoder's weights by what they are for, and where they are read.

use super::{DecoderConfig, Norm};
use crate::tensor::{Tensor, TensorError};

/// A weight of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// One row for each token.
    TokenEmbedding,
    /// One row for each position.
    PositionEmbedding,
    /// The norm before the output.
    FinalNorm,
    /// From the residual stream to logits; not asked for if tied, nor to embed texts.
    Output,
    /// A layer's.
    Layer(u32, Part),
}

/// A weight of a layer. Matrices have a row for each output; norms are one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The norm before attention.
    AttentionNorm,
    /// To queries.
    Query,
    /// To keys.
    Key,
    /// To values.
    Value,
    /// Of queries' heads.
    QueryNorm,
    /// Of keys' heads.
    KeyNorm,
    /// From attention to the residual stream.
    AttentionOutput,
    /// The norm of what attention gives.
    PostAttentionNorm,
    /// The norm before the feed-forward block.
    FeedForwardNorm,
    /// To the gate.
    Gate,
    /// To what is gated.
    Up,
    /// Back to the residual stream.
    Down,
    /// The norm of what the feed-forward block gives.
    PostFeedForwardNorm,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layer(layer, part) => write!(f, "{part:?} of layer {layer}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Why a weight cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The file has no such tensor.
    #[error("no tensor {name:?} ({role}); is the architecture what the file says?")]
    Missing {
        /// Its name.
        name: String,
        /// What it is for.
        role: Role,
    },
    /// It is not of the shape that the configuration says.
    #[error(
        "{name}: has {have:?} rows and columns, and {role} needs {need:?}; configuration and weights disagree"
    )]
    Shape {
        /// Its name.
        name: String,
        /// What it is for.
        role: Role,
        /// Rows and columns that it has.
        have: (usize, usize),
        /// Rows and columns that it should have.
        need: (usize, usize),
    },
    /// Its elements are of a format that is not read.
    #[error(
        "{name}: elements of format {format}, which is not read; convert the file to F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K"
    )]
    Format {
        /// Its name.
        name: String,
        /// As the file calls it.
        format: String,
    },
    /// Its bytes or floats are wrong.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Where a decoder's weights are read, one at a time.
pub trait Source: Sync {
    /// What it describes.
    fn config(&self) -> &DecoderConfig;

    /// A matrix, or a norm's gain as one row.
    ///
    /// # Errors
    /// [`SourceError`] if it is missing or its format is not read.
    fn weight(&self, role: Role) -> Result<Tensor<'_>, SourceError>;

    /// What is added after a matrix or norm; `None` if nothing is.
    ///
    /// # Errors
    /// [`SourceError`] if its format is not read.
    fn bias(&self, role: Role) -> Result<Option<Vec<f32>>, SourceError>;
}

/// A weight whose shape is what the configuration says.
pub(crate) fn checked_weight<'s>(
    source: &'s dyn Source,
    role: Role,
) -> Result<Tensor<'s>, SourceError> {
    let tensor = source.weight(role)?;
    let (have, need) = (
        (tensor.rows(), tensor.columns()),
        source.config().shape(role),
    );
    if have != need {
        let name = tensor.name().to_owned();
        return Err(SourceError::Shape {
            name,
            role,
            have,
            need,
        });
    }
    Ok(tensor)
}

/// A bias as long as its weight has outputs.
pub(crate) fn checked_bias(
    source: &dyn Source,
    role: Role,
) -> Result<Option<Vec<f32>>, SourceError> {
    let Some(bias) = source.bias(role)? else {
        return Ok(None);
    };
    let need = match source.config().shape(role) {
        (1, columns) => columns,
        (rows, _) => rows,
    };
    let name = || format!("bias of {role}");
    if bias.len() != need {
        return Err(SourceError::Shape {
            name: name(),
            role,
            have: (1, bias.len()),
            need: (1, need),
        });
    }
    match bias.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(TensorError::NotFinite {
            tensor: name(),
            index: index as u64,
        }
        .into()),
        None => Ok(Some(bias)),
    }
}

/// A norm's gain: the stored weight, or one more.
pub(crate) fn gain(source: &dyn Source, role: Role) -> Result<Vec<f32>, SourceError> {
    let mut gain = checked_weight(source, role)?.read()?;
    if let Norm::RootMeanSquare { plus_one: true, .. } = source.config().norm {
        for x in &mut gain {
            *x += 1.0;
        }
    }
    Ok(gain)
}
