//! Texts of a data file as tokens: every other one calibrates, the others are for comparison.

use crate::{commands::verify::read_bounded, failure::failure};
use anyhow::{Context as _, ensure};
use og_program::file::TextAssets;
use og_text::{ChatTemplate, Conversation, Tokenizer};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Longest file of texts that is read, in bytes.
const MAX_DATA_BYTES: u64 = 64 * 1024 * 1024;
/// Most tokens of one text.
const MAX_TEXT_TOKENS: usize = 512;
/// Most tokens that calibrate, and most that are compared.
const MAX_TOKENS: usize = 8192;

/// Tokens of texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) calibration: Vec<Vec<u32>>,
    pub(super) evaluation: Vec<Vec<u32>>,
}

/// A line of a `.jsonl` file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sample {
    Text { text: String },
    Messages { messages: Vec<Value> },
}

impl Texts {
    /// Reads a file of texts.
    pub(super) fn read(path: &Path, assets: &TextAssets, context: u32) -> anyhow::Result<Self> {
        let bytes = read_bounded(path, MAX_DATA_BYTES)?;
        let text =
            String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
        let reader = Reader::new(assets)?;
        let lines = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"));
        let samples: Vec<Vec<u32>> = if lines {
            let numbered = text
                .lines()
                .enumerate()
                .filter(|(_, line)| !line.is_empty());
            numbered
                .map(|(number, line)| {
                    reader
                        .sample(line)
                        .with_context(|| format!("{}, line {}", path.display(), number + 1))
                })
                .collect::<anyhow::Result<_>>()?
        } else {
            text.split("\n\n")
                .filter(|paragraph| !paragraph.trim().is_empty())
                .map(|paragraph| reader.text(paragraph))
                .collect::<anyhow::Result<_>>()?
        };
        let most = MAX_TEXT_TOKENS.min(context as usize);
        let mut texts = Self::default();
        let mut used = [0, 0];
        for (number, mut tokens) in samples.into_iter().enumerate() {
            tokens.truncate(most);
            let side = number % 2;
            if tokens.len() < 2 || used[side] + tokens.len() > MAX_TOKENS {
                continue;
            }
            used[side] += tokens.len();
            match side {
                0 => texts.calibration.push(tokens),
                _ => texts.evaluation.push(tokens),
            }
        }
        ensure!(
            !texts.evaluation.is_empty(),
            failure(
                format!("{} has fewer than two texts", path.display()),
                "give at least two paragraphs, or two lines of JSON"
            )
        );
        Ok(texts)
    }
}

/// What makes tokens of texts.
struct Reader {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    begin: Option<u32>,
    /// Whether the model embeds texts: they have other tokens around them than those that are continued.
    embeds: bool,
}

impl Reader {
    fn new(assets: &TextAssets) -> anyhow::Result<Self> {
        let template = assets.chat_template.as_ref();
        Ok(Self {
            tokenizer: Tokenizer::from_json(&assets.tokenizer)?,
            template: template
                .map(|source| ChatTemplate::new(source, &assets.special))
                .transpose()?,
            begin: assets.begin,
            embeds: assets.pooling.is_some(),
        })
    }

    fn text(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        if self.embeds {
            return Ok(self.tokenizer.encode_to_embed(text, self.begin)?);
        }
        let tokens = self.tokenizer.encode(text, false)?;
        Ok(self.begin.into_iter().chain(tokens).collect())
    }

    fn sample(&self, line: &str) -> anyhow::Result<Vec<u32>> {
        let sample: Sample = serde_json::from_str(line)
            .context("neither {\"text\": ...} nor {\"messages\": [...]}")?;
        match sample {
            Sample::Text { text } => self.text(&text),
            // Only what was said: such a model has no way to write a conversation.
            Sample::Messages { messages } if self.embeds => {
                let said = messages.iter();
                let said = said.filter_map(|message| message["content"].as_str());
                self.text(&said.collect::<Vec<_>>().join("\n"))
            }
            Sample::Messages { messages } => {
                let template = self.template.as_ref();
                let template = template.context("the model has no chat template for messages")?;
                let conversation = Conversation {
                    messages,
                    ..Conversation::default()
                };
                Ok(template.encode(&self.tokenizer, &conversation)?)
            }
        }
    }
}
