//! `og gateway key new`: an API key for a client of a gateway.

use crate::{
    failure::failure,
    output::{Output, TITLE, WARN, paint},
};
use og_node::{KeyLimits, KeysError, NewKey};
use serde::Serialize;
use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
};

/// Say who may ask a gateway.
#[derive(Debug, clap::Args)]
pub(crate) struct Gateway {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Key(Key),
}

/// Make API keys.
#[derive(Debug, clap::Args)]
struct Key {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, clap::Subcommand)]
enum KeyAction {
    New(New),
}

/// Make an API key, and show its secret once.
///
/// The gateway knows a key by the SHA-256 of its secret, which stands in the file that `keys` in the gateway's
/// configuration names, with the key's limits. With --file the key is added there; without, its table is printed. A gateway
/// that runs takes a changed file over within 5 seconds. Nothing keeps the secret: give it to its owner now.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og gateway key new alice --file gateway/keys.toml
  og gateway key new alice --file gateway/keys.toml --model small-chat --requests-per-minute 60 --tokens-per-day 2000000
  og gateway key new alice --json | jq -r .secret

The owner sends it as `Authorization: Bearer SECRET` (OpenAI's clients: OPENAI_API_KEY) or as `x-api-key: SECRET`
(Anthropic's). To take a key back, remove its table from the file.")]
struct New {
    /// Whose key it is; stands in the log.
    name: String,
    /// File of keys to add it to; made if it is not there.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A model that it is for, by name or id; may be given several times [default: all].
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// Most requests in a minute [default: no limit, as for all below].
    #[arg(long, value_name = "NUMBER")]
    requests_per_minute: Option<NonZeroU32>,
    /// Most tokens of questions and answers in a minute.
    #[arg(long, value_name = "NUMBER")]
    tokens_per_minute: Option<NonZeroU64>,
    /// Most tokens of questions and answers in a day.
    #[arg(long, value_name = "NUMBER")]
    tokens_per_day: Option<NonZeroU64>,
    /// Most requests in progress at a time.
    #[arg(long, value_name = "NUMBER")]
    concurrent_requests: Option<NonZeroU32>,
}

#[derive(Serialize)]
struct Made {
    name: String,
    secret: String,
    /// For the file of keys.
    table: String,
    /// The file that it was added to.
    file: Option<PathBuf>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", paint(TITLE, "A new API key"))?;
        writeln!(f, "  secret  {}", self.secret)?;
        writeln!(f, "          {}", paint(WARN, "it is shown only now"))?;
        match &self.file {
            Some(file) => write!(f, "  file    {} (added)", file.display()),
            None => write!(
                f,
                "  table   for the file of keys:\n\n{}",
                self.table.trim_end()
            ),
        }
    }
}

impl Gateway {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<()> {
        let Action::Key(Key { action }) = self.action;
        let KeyAction::New(new) = action;
        new.run(output)
    }
}

impl New {
    fn run(self, output: &Output) -> anyhow::Result<()> {
        let limits = KeyLimits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            tokens_per_day: self.tokens_per_day,
            concurrent_requests: self.concurrent_requests,
        };
        let key = NewKey::generate(&self.name, &self.models, limits)?;
        if let Some(file) = &self.file {
            key.add_to(file).map_err(|error| advised(&error))?;
        }
        output.result(&Made {
            name: self.name,
            secret: key.secret().to_owned(),
            table: key.table().to_owned(),
            file: self.file,
        })
    }
}

/// What to do if a file cannot take a key.
fn advised(error: &KeysError) -> anyhow::Error {
    let next = match error {
        KeysError::Key { .. } => "choose another name, or remove the key of before from the file",
        KeysError::Malformed { .. } | KeysError::TooLong(_) => {
            "mend the file: a gateway cannot use it"
        }
        KeysError::Read { .. } | KeysError::Write { .. } => {
            "name a file that you may read and write"
        }
    };
    failure(error.to_string(), next)
}
