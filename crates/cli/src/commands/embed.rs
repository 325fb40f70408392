//! `og embed`: vectors of texts, and how alike they are.

use super::answered::{Answered, ReceiptArgs, ask};
use crate::{
    client::{Answer, GatewayArgs},
    failure::failure,
    output::{Output, QUIET, TITLE, paint},
};
use og_import::quality::cosine;
use og_types::{
    embedding::{self, RelayedVectors, Texts, Vectors},
    tensor_json::tensors_to_json,
};
use serde::Serialize;
use std::fmt;

/// Longest text that is shown beside its numbers, in characters.
const MAX_SHOWN: usize = 60;

/// Make vectors of texts, and show how alike they are.
///
/// Each text becomes a vector of length 1 that stands for what it is about. Shown is the cosine of each two: 1 for texts
/// that the model takes for the same, less the less they have in common. With --json, the vectors themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og model build models/story/float --data models/story/held_out.jsonl --embed mean --out words.og
  og model add words.og --name words
  og embed --model words 'The cat sat in the garden.' 'A kitten slept under a tree.'
  og embed --model words 'A fox.' --receipt fox.receipt
  og replay fox.receipt
  og embed --model words 'A fox.' --json | jq -c '.vectors[0][:3]'")]
pub(crate) struct Embed {
    /// Name or id of a model that embeds texts.
    #[arg(long)]
    model: String,
    /// The texts.
    #[arg(required = true, value_name = "TEXT")]
    texts: Vec<String>,
    /// Only so many numbers for each text, at most as many as the model gives.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(embedding::MAX_VECTOR_LENGTH)))]
    dimensions: Option<u32>,
    #[command(flatten)]
    receipt: ReceiptArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Vectors, one for each text.
#[derive(Serialize)]
struct Outcome {
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
    /// Tokens of all texts; absent if the model is another service's, and it does not say.
    prompt_tokens: Option<usize>,
    /// Who answered, if that is another service.
    #[serde(skip_serializing_if = "Option::is_none")]
    relayed_from: Option<String>,
    #[serde(flatten)]
    answered: Answered,
}

impl Embed {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let gateway = self.gateway.gateway()?;
        let model = gateway.model(&self.model).await?.info;
        if model.description.inputs != embedding::description().inputs {
            return Err(failure(
                format!("{} embeds no texts", model.name),
                "`og model list` shows others; `og model build --embed` makes one of a decoder",
            ));
        }
        let texts = Texts {
            texts: self.texts,
            dimensions: self.dimensions,
        };
        let inputs = tensors_to_json(&texts.to_tensors()?)?;
        let progress = output.progress("reading");
        // There is nothing to sample.
        let answer = ask(&gateway, &self.model, &inputs, 0).await?;
        drop(progress);
        let answered = Answered::settle(answer, &gateway, &self.receipt, output).await?;
        output.result(&Outcome::new(texts.texts, answered)?)
    }
}

impl Outcome {
    fn new(texts: Vec<String>, answered: Answered) -> anyhow::Result<Self> {
        let answer: &Answer = &answered.answer;
        let (vectors, prompt_tokens, relayed_from) = if answer.computed == "relayed" {
            let tensors = answer.tensors(embedding::relayed_description())?;
            let relayed = RelayedVectors::from_tensors(&tensors)?;
            let tokens = relayed.prompt_tokens.map(usize::try_from).transpose()?;
            (relayed.vectors, tokens, Some(relayed.upstream))
        } else {
            let exact = Vectors::from_tensors(&answer.tensors(embedding::description())?)?;
            let tokens = exact.prompt_tokens.iter().map(Vec::len).sum();
            (exact.vectors, Some(tokens), None)
        };
        Ok(Self {
            texts,
            vectors,
            prompt_tokens,
            relayed_from,
            answered,
        })
    }
}

/// A text, cut to what fits a line.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace(char::is_control, " ")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (row, (text, vector)) in self.texts.iter().zip(&self.vectors).enumerate() {
            // Each two once.
            for other in self.vectors.iter().take(row + 1) {
                let cosine = format!("{:6.3}", cosine(vector, other));
                write!(f, "{} ", paint(TITLE, cosine))?;
            }
            let gap = 7 * (self.vectors.len() - row - 1);
            writeln!(f, "{:gap$} {}", "", shown(text))?;
        }
        let length = self.vectors.first().map_or(0, Vec::len);
        let tokens = self.prompt_tokens;
        let tokens = tokens.map_or_else(|| "?".to_owned(), |tokens| tokens.to_string());
        let count = format!("{length} numbers for each text, {tokens} tokens in all");
        writeln!(f, "\n{}", paint(QUIET, count))?;
        if let Some(upstream) = &self.relayed_from {
            writeln!(f, "from     {upstream}, which is asked anew each time")?;
        }
        write!(f, "{}", self.answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_stay_on_their_line() {
        assert_eq!(shown("a\nb"), "a b");
        assert_eq!(shown(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
