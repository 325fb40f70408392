//! The file that says whom to ask (`docs/formats/model.md`, "A relay file").

use crate::UpstreamError;
use og_dialects::upstream::Service;
use og_types::language::MAX_ANSWER_TOKENS;
use serde::Deserialize;

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 16 * 1024;
/// Most servers that a file may name.
pub const MAX_SERVERS: usize = 64;
/// Requests that a server is given at once if the file does not say.
const DEFAULT_REQUESTS: usize = 10_000;
/// The most that a file may say.
const MAX_REQUESTS: usize = 100_000;
/// Tokens that a service is asked for which wants a bound where nobody set one, if the file does not say: what each of
/// Anthropic's models can give.
const DEFAULT_TOKENS: i64 = 4096;

/// What a file says.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) service: Service,
    pub(crate) urls: Vec<String>,
    pub(crate) model: String,
    pub(crate) max_requests: usize,
    pub(crate) max_tokens: i64,
    pub(crate) task: Task,
}

/// What a model does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// It answers questions.
    #[default]
    Language,
    /// It makes vectors of texts.
    Embeddings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    relay: Relay,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relay {
    service: Option<Service>,
    url: Option<String>,
    urls: Option<Vec<String>>,
    model: String,
    max_requests: Option<usize>,
    max_tokens: Option<i64>,
    #[serde(default)]
    task: Task,
}

impl Described {
    /// Reads a file.
    pub(crate) fn read(text: &str) -> Result<Self, UpstreamError> {
        let wrong = |what: &str| Err(UpstreamError::File(what.to_owned()));
        if text.len() > MAX_FILE_BYTES {
            return wrong("it is too long");
        }
        let File { relay } =
            toml::from_str(text).map_err(|error| UpstreamError::File(error.to_string()))?;
        let urls = match (relay.url, relay.urls) {
            (Some(url), None) => vec![url],
            (None, Some(urls)) => urls,
            _ => return wrong("give either url or urls"),
        };
        if urls.is_empty() || urls.len() > MAX_SERVERS {
            return wrong("urls: must be 1 to 64 addresses");
        }
        if relay.model.is_empty() {
            return wrong("model: must not be empty");
        }
        let max_requests = relay.max_requests.unwrap_or(DEFAULT_REQUESTS);
        if !(1..=MAX_REQUESTS).contains(&max_requests) {
            return wrong("max_requests: must be 1 to 100000");
        }
        let max_tokens = relay.max_tokens.unwrap_or(DEFAULT_TOKENS);
        if !(1..=MAX_ANSWER_TOKENS).contains(&max_tokens) {
            return wrong("max_tokens: must be 1 to 131072");
        }
        let service = relay.service.unwrap_or(Service::Compatible);
        let speaks_otherwise = matches!(service, Service::Anthropic | Service::Google);
        if relay.task == Task::Embeddings && speaks_otherwise {
            return wrong(
                "task: embeddings are asked for as OpenAI's API does, which this service does not speak",
            );
        }
        Ok(Self {
            service,
            urls,
            model: relay.model,
            max_requests,
            max_tokens,
            task: relay.task,
        })
    }
}
