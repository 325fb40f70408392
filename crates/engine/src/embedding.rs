//! Models that embed texts as backends: texts in tensors become tokens, and the rows of each run a vector of length 1.

use crate::{
    backend::{Backend, Count, Pieces, Run, RunError},
    exact::{EmbeddingRequest, GenerateError, ModelError, Ready, are_rows},
    on_demand::{OnDemand, failed, unfit},
    processors::compute,
    programs::RunSettings,
};
use og_program::file::{Pooling, TextAssets};
use og_text::Tokenizer;
use og_types::{
    Computed, ModelDescription, Refusal, Tensor,
    embedding::{self, MAX_VECTOR_LENGTH, Texts, Vectors},
    limits::MAX_PAYLOAD_BYTES,
};
use std::sync::Arc;

/// The input that holds the texts.
const INPUT: &str = "input";
/// Tokens of short texts that are computed together, at most.
const TOKENS_TOGETHER: usize = 256;
/// Bytes of an answer for each text beside its vector and its tokens: their count, and the root of its run.
const BYTES_BESIDE: usize = 4 + 32;
/// Numbers of a vector are multiples of 2^-20.
const FRACTION_BITS: u32 = 20;
/// How many times finer the length of a vector is found than its mantissas, as a power of two.
const ROOT_BITS: u32 = 16;

/// A model that embeds texts.
pub struct EmbeddingModel {
    tokenizer: Arc<Tokenizer>,
    begin: Option<u32>,
    pooling: Pooling,
    /// Numbers of a vector.
    length: u32,
    /// Tokens of a text, at most.
    positions: usize,
    description: ModelDescription,
    generator: OnDemand,
}

impl EmbeddingModel {
    /// A model whose text assets are these; `pooling` is theirs.
    ///
    /// # Errors
    /// [`ModelError::Text`] if its tokenizer cannot be used, or its program gives no row for each position.
    pub(crate) fn new(
        ready: Arc<Ready>,
        assets: &TextAssets,
        pooling: Pooling,
        settings: RunSettings,
    ) -> Result<Self, ModelError> {
        let tokenizer = Tokenizer::from_json(&assets.tokenizer)
            .map_err(|error| ModelError::Text(format!("tokenizer: {error}")))?;
        let tokenizer = Arc::new(tokenizer);
        let rows = ready.output_type(0).filter(|of| are_rows(of));
        let rows = rows.filter(|of| of.width <= MAX_VECTOR_LENGTH);
        let rows = rows.ok_or_else(|| {
            ModelError::Text(format!(
                "it embeds texts, and its first output is not a row of at most {MAX_VECTOR_LENGTH} numbers for each position"
            ))
        })?;
        Ok(Self {
            begin: assets.begin,
            pooling,
            length: rows.width,
            positions: ready.program().positions as usize,
            description: embedding::description(),
            generator: OnDemand::new(ready, tokenizer.clone(), settings),
            tokenizer,
        })
    }

    /// The vectors of texts.
    async fn embed(self: Arc<Self>, texts: Texts) -> Result<Vectors, RunError> {
        let length = self.vector_length(&texts)?;
        let model = self.clone();
        let prompt_tokens = compute(move || model.tokens(&texts.texts)).await?;
        check_size(&prompt_tokens, length)?;
        let mut vectors = Vec::with_capacity(prompt_tokens.len());
        let mut trace_roots = Vec::with_capacity(prompt_tokens.len());
        let mut rest = prompt_tokens.as_slice();
        while !rest.is_empty() {
            let (together, others) = rest.split_at(fitting(rest));
            rest = others;
            let request = EmbeddingRequest {
                prompts: together.to_vec(),
                pooling: self.pooling,
            };
            let failed = |error| failed(error, INPUT);
            let asked = self.generator.get()?.embed(request).map_err(failed)?;
            for embedding in asked.embeddings().await.map_err(failed)? {
                vectors.push(unit(embedding.mantissas.get(..length).unwrap_or_default()));
                trace_roots.push(embedding.trace_root);
            }
        }
        Ok(Vectors {
            vectors,
            prompt_tokens,
            trace_roots,
        })
    }

    /// How many numbers each vector gets.
    fn vector_length(&self, texts: &Texts) -> Result<usize, RunError> {
        let length = texts.dimensions.unwrap_or(self.length);
        if length > self.length {
            let reason = format!("is {length}, and the model gives {}", self.length);
            return Err(Refusal::of("dimensions", reason).into());
        }
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn tokens(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, RunError> {
        let encode = |(index, text): (usize, &String)| {
            let refused =
                |error: &dyn std::fmt::Display| unfit(&format!("{INPUT}[{index}]"), error);
            let tokens = self.tokenizer.encode_to_embed(text, self.begin);
            let tokens = tokens.map_err(|error| refused(&error))?;
            let (length, most) = (tokens.len(), self.positions);
            match length {
                0 => Err(refused(&GenerateError::Empty)),
                _ if length > most => Err(refused(&GenerateError::PromptTooLong { length, most })),
                _ => Ok(tokens),
            }
        };
        texts.iter().enumerate().map(encode).collect()
    }

    /// How many tokens all texts of a request have.
    fn count(&self, inputs: &[Tensor]) -> Result<u32, RunError> {
        let tokens = self.tokens(&self.texts(inputs)?.texts)?;
        let count = tokens.iter().map(Vec::len).sum::<usize>();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn texts(&self, inputs: &[Tensor]) -> Result<Texts, RunError> {
        self.description.check_inputs(inputs)?;
        Ok(Texts::from_tensors(inputs).map_err(Refusal::from)?)
    }
}

/// Whether texts of these tokens with vectors of so many numbers fit into an answer, before any is computed.
fn check_size(texts: &[Vec<u32>], length: usize) -> Result<(), RunError> {
    let tokens = texts.iter().map(Vec::len).sum::<usize>();
    let of_each = length.saturating_mul(4).saturating_add(BYTES_BESIDE);
    let bytes = texts.len().saturating_mul(of_each);
    let bytes = bytes.saturating_add(tokens.saturating_mul(4));
    if bytes <= MAX_PAYLOAD_BYTES {
        return Ok(());
    }
    let reason = format!(
        "has {} texts with {tokens} tokens: with their vectors they take {bytes} bytes, and an answer has at most {MAX_PAYLOAD_BYTES}; ask several times",
        texts.len()
    );
    Err(Refusal::of(INPUT, reason).into())
}

/// How many of these texts, at least the first, are computed together: so many that they fill a batch, and not so many that others'
/// requests wait long.
fn fitting(texts: &[Vec<u32>]) -> usize {
    let mut tokens = 0_usize;
    let fits = texts.iter().take_while(|text| {
        tokens = tokens.saturating_add(text.len());
        tokens <= TOKENS_TOGETHER
    });
    fits.count().max(1)
}

/// A vector of length 1 in the direction of `mantissas`, each number the nearest multiple of 2^-20 (`docs/formats/embedding.md`).
/// Zeros stay zeros.
fn unit(mantissas: &[i16]) -> Vec<f32> {
    // Of at most 2^16 squares of 15 bits: below 2^46.
    let squares: u64 = mantissas
        .iter()
        .map(|m| u64::from(m.unsigned_abs()).pow(2))
        .sum();
    let root = (u128::from(squares) << (2 * ROOT_BITS)).isqrt();
    let root = i64::try_from(root).unwrap_or(i64::MAX).max(1);
    let numbers = mantissas.iter().map(|m| {
        let numerator = (i64::from(*m) << (FRACTION_BITS + ROOT_BITS)) + root / 2;
        numerator.div_euclid(root)
    });
    // At most 2^20, so that 32-bit floats hold them exactly.
    #[expect(clippy::cast_precision_loss, reason = "explained above")]
    numbers
        .map(|number| number as f32 / (1_u32 << FRACTION_BITS) as f32)
        .collect()
}

impl std::fmt::Debug for EmbeddingModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddingModel({} numbers)", self.length)
    }
}

impl Backend for EmbeddingModel {
    fn computed(&self) -> Computed {
        Computed::Exact
    }

    fn describe(&self) -> &ModelDescription {
        &self.description
    }

    fn run(self: Arc<Self>, inputs: Vec<Tensor>, _seed: u64, _pieces: Pieces) -> Run {
        Box::pin(async move {
            let texts = self.texts(&inputs)?;
            drop(inputs);
            let vectors = self.embed(texts).await?;
            vectors
                .to_tensors()
                .map_err(|error| RunError::Model(error.to_string()))
        })
    }

    fn count_prompt(self: Arc<Self>, inputs: Vec<Tensor>) -> Count {
        Box::pin(compute(move || self.count(&inputs)))
    }
}

#[cfg(test)]
mod tests;
