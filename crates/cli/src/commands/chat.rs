//! `og chat`: talk to a language model, keep the receipts.

use super::answered::{Answered, ReceiptArgs, ask};
use crate::{
    client::{Gateway, GatewayArgs},
    failure::failure,
    output::{Output, QUIET, TITLE, paint},
};
use anyhow::Context as _;
use og_types::{
    Computed,
    language::{self, Finish, Message, Prompt, Question, RelayedReply, Reply},
    tensor_json::tensors_to_json,
};
use rand::RngExt as _;
use serde::Serialize;
use std::{
    fmt,
    io::{BufRead as _, IsTerminal as _, Write as _},
    str::FromStr,
};

/// Talk to a language model.
///
/// With --prompt it answers once; without, it is a conversation, a line a turn, until the end of the input. Every
/// answer has a receipt. The same prompt, settings and seed give the same answer, on any machine: see `og replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og chat
  og chat --prompt 'Tell me a story about a brave fox.' --seed 7 --receipt fox.receipt
  og chat --prompt 'Once upon a time' --raw --temperature 0 --max-tokens 40
  og replay fox.receipt")]
pub(crate) struct Chat {
    /// Name or id of the model.
    #[arg(long, default_value = "story")]
    model: String,
    /// What to say, once.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// What the model is told before the conversation.
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    system: Option<String>,
    /// Take the prompt as text to go on from, not as a turn of a conversation.
    #[arg(long, requires = "prompt")]
    raw: bool,
    /// Most tokens of an answer.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(i64).range(1..=language::MAX_ANSWER_TOKENS))]
    max_tokens: i64,
    /// How freely tokens are drawn; 0 always takes the most probable.
    #[arg(long, default_value = "0.7")]
    temperature: Fixed,
    /// Draw among so many of the most probable tokens; 0 among all.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=i64::from(u32::MAX)))]
    top_k: i64,
    /// Draw among the most probable tokens that have this much probability together.
    #[arg(long, default_value = "0.95")]
    top_p: Fixed,
    /// By how much tokens that were there already are made less probable; 1 for not at all.
    #[arg(long, default_value = "1")]
    repetition_penalty: Fixed,
    /// Seed of the sampling; drawn at random if left out, and not sent to another service.
    #[arg(long)]
    seed: Option<u64>,
    /// End the answer at this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    #[command(flatten)]
    receipt: ReceiptArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// A decimal number as a multiple of 2^-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fixed(i64);

impl FromStr for Fixed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
        let fixed = number * language::ONE as f64;
        if (0.0..=f64::from(u32::MAX)).contains(&fixed) {
            return Ok(Self(fixed.round() as i64));
        }
        Err("must be 0 to 65535".to_owned())
    }
}

/// One answer of a language model.
#[derive(Serialize)]
struct Said {
    text: String,
    finish: Finish,
    /// Absent if the model is another service's, and it does not say.
    prompt_tokens: Option<usize>,
    completion_tokens: Option<usize>,
    /// Who answered, if that is another service.
    #[serde(skip_serializing_if = "Option::is_none")]
    relayed_from: Option<String>,
    seed: u64,
    #[serde(flatten)]
    answered: Answered,
}

impl Chat {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let gateway = self.gateway.gateway()?;
        let model = gateway.model(&self.model).await?.info;
        let language_models = [language::description(), language::relayed_description()];
        if !language_models.contains(&model.description) {
            return Err(failure(
                format!("{} is no language model", model.name),
                "`og model list` shows others; `og infer` asks models that take tensors",
            ));
        }
        match self.prompt.clone() {
            Some(prompt) if self.raw => {
                let said = self.ask(&gateway, Prompt::Text(prompt), output).await?;
                output.result(&said)
            }
            Some(prompt) => {
                let mut messages = self.beginning();
                messages.push(Message::text("user", &prompt));
                let said = self
                    .ask(&gateway, Prompt::Messages(messages), output)
                    .await?;
                output.result(&said)
            }
            None => self.converse(&gateway, output).await,
        }
    }

    fn beginning(&self) -> Vec<Message> {
        let system = self.system.clone();
        system
            .map(|text| Message::text("system", &text))
            .into_iter()
            .collect()
    }

    /// A conversation: a line of input a turn, until there is none.
    async fn converse(&self, gateway: &Gateway, output: &Output) -> anyhow::Result<()> {
        let people = std::io::stdin().is_terminal() && !output.is_json();
        if people {
            output.line(paint(
                QUIET,
                "A line is a turn; an empty line or Ctrl-D ends the conversation.",
            ));
        }
        let mut messages = self.beginning();
        loop {
            if people {
                anstream::print!("{} ", paint(TITLE, "you>"));
                std::io::stdout().flush().context("cannot write")?;
            }
            let mut line = String::new();
            std::io::stdin()
                .lock()
                .read_line(&mut line)
                .context("cannot read what you say")?;
            let line = line.trim();
            if line.is_empty() {
                return Ok(());
            }
            messages.push(Message::text("user", line));
            let said = self
                .ask(gateway, Prompt::Messages(messages.clone()), output)
                .await?;
            messages.push(Message::text("assistant", &said.text));
            if output.is_json() {
                output.item(&said)?;
            } else {
                output.line(format!(
                    "{} {}",
                    paint(TITLE, format!("{}>", self.model)),
                    said.text
                ));
                output.line(paint(QUIET, format!("      {}", said.one_line())));
            }
        }
    }

    async fn ask(
        &self,
        gateway: &Gateway,
        prompt: Prompt,
        output: &Output,
    ) -> anyhow::Result<Said> {
        let question = Question {
            max_tokens: Some(self.max_tokens),
            temperature: self.temperature.0,
            top_k: self.top_k,
            top_p: self.top_p.0,
            repetition_penalty: self.repetition_penalty.0,
            stop: self.stop.clone(),
            ..Question::new(prompt)
        };
        let seed = self.seed(gateway).await?;
        let inputs = tensors_to_json(&question.to_tensors()?)?;
        let progress = output.progress("thinking");
        let answer = ask(gateway, &self.model, &inputs, seed).await?;
        drop(progress);
        let answered = Answered::settle(answer, gateway, &self.receipt, output).await?;
        Said::new(answered, seed)
    }

    /// The seed; for a model of another service 0, which stands for none, unless one was chosen.
    async fn seed(&self, gateway: &Gateway) -> anyhow::Result<u64> {
        if let Some(seed) = self.seed {
            return Ok(seed);
        }
        let model = gateway.model(&self.model).await?;
        Ok(match model.info.computed {
            Computed::Relayed => 0,
            Computed::Exact | Computed::Float => rand::rng().random(),
        })
    }
}

impl Said {
    fn new(answered: Answered, seed: u64) -> anyhow::Result<Self> {
        let answer = &answered.answer;
        if answer.computed == "relayed" {
            let tensors = answer.tensors(language::relayed_description())?;
            let reply = RelayedReply::from_tensors(&tensors)?;
            let count = |tokens: Option<u32>| tokens.and_then(|count| usize::try_from(count).ok());
            return Ok(Self {
                text: reply.said.text,
                finish: reply.said.finish,
                prompt_tokens: count(reply.prompt_tokens),
                completion_tokens: count(reply.tokens),
                relayed_from: Some(reply.upstream),
                seed,
                answered,
            });
        }
        let reply = Reply::from_tensors(&answer.tensors(language::description())?)?;
        Ok(Self {
            text: reply.said.text,
            finish: reply.said.finish,
            prompt_tokens: Some(reply.prompt_tokens.len()),
            completion_tokens: Some(reply.tokens.len()),
            relayed_from: None,
            seed,
            answered,
        })
    }

    fn one_line(&self) -> String {
        let answer = &self.answered.answer;
        format!(
            "{} tokens, seed {}, computed: {}, request {}",
            count(self.completion_tokens),
            self.seed,
            answer.computed,
            answer.request_id
        )
    }
}

fn count(tokens: Option<usize>) -> String {
    tokens.map_or_else(|| "?".to_owned(), |tokens| tokens.to_string())
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.text)?;
        let ended = match self.finish {
            Finish::Stop => "ended by itself",
            Finish::StopString(_) => "ended at a text that was to end it",
            Finish::Length => "cut short at the most tokens",
            Finish::ToolCalls => "calls tools",
            Finish::ContentFilter => "withheld in part by who answered",
        };
        writeln!(
            f,
            "tokens   {} in, {} out: {ended}",
            count(self.prompt_tokens),
            count(self.completion_tokens)
        )?;
        if let Some(upstream) = &self.relayed_from {
            writeln!(f, "from     {upstream}, which is asked anew each time")?;
        }
        writeln!(f, "seed     {}", self.seed)?;
        write!(f, "{}", self.answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_multiples_and_others_are_refused() {
        assert_eq!("0.5".parse(), Ok(Fixed(32_768)));
        assert_eq!("1".parse(), Ok(Fixed(language::ONE)));
        for bad in ["", "x", "-1", "NaN", "1e9"] {
            assert!(bad.parse::<Fixed>().is_err(), "{bad}");
        }
    }
}
