//! Language models as backends: a question in tensors becomes a prompt, the answer becomes tensors again.

use crate::{
    backend::{Backend, Pieces, Run, RunError},
    exact::{
        Event, FinishReason, GenerateError, Generator, GeneratorSettings, ModelError, Ready,
        Request, SchedulerSettings, Settings,
    },
    processors::compute,
    programs::RunSettings,
};
use og_program::sample::Sampling;
use og_text::{ChatTemplate, Conversation, Tokenizer};
use og_types::{
    Computed, ModelDescription, Tensor,
    language::{
        self, Finish, Format, MAX_ANSWER_TOKENS, Message, Piece, Prompt, Question, Reply, Said,
    },
};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

/// Bytes that keys and values of all conversations with one model take, at most.
const CACHE_BYTES: usize = 1 << 30;
/// Requests that wait for one model, at most.
const MOST_WAITING: usize = 256;

/// A language model that answers questions.
pub struct LanguageModel {
    ready: Arc<Ready>,
    tokenizer: Arc<Tokenizer>,
    template: Option<ChatTemplate>,
    begin: Option<u32>,
    ends: Vec<u32>,
    description: ModelDescription,
    settings: GeneratorSettings,
    /// Started by the first question, so that models nobody asks take no thread.
    generator: OnceLock<Result<Generator, String>>,
}

impl LanguageModel {
    /// A model that has text assets.
    ///
    /// # Errors
    /// [`ModelError::Text`] if it has none, or they cannot be used.
    pub fn new(ready: Arc<Ready>, settings: RunSettings) -> Result<Self, ModelError> {
        let unusable = |reason: String| ModelError::Text(reason);
        let assets = ready
            .model()
            .text()
            .ok_or_else(|| unusable("it has no tokenizer".to_owned()))?;
        let tokenizer = Tokenizer::from_json(&assets.tokenizer)
            .map_err(|error| unusable(format!("tokenizer: {error}")))?;
        let template = assets
            .chat_template
            .as_ref()
            .map(|source| ChatTemplate::new(source, &assets.special))
            .transpose()
            .map_err(|error| unusable(format!("chat template: {error}")))?;
        Ok(Self {
            tokenizer: Arc::new(tokenizer),
            template,
            begin: assets.begin,
            ends: assets.ends.clone(),
            description: language::description(),
            settings: GeneratorSettings {
                executor: Settings {
                    threads: settings.threads(),
                    cache_bytes: CACHE_BYTES,
                    keeps_prefixes: true,
                },
                scheduler: SchedulerSettings::default(),
                most_waiting: MOST_WAITING,
            },
            generator: OnceLock::new(),
            ready,
        })
    }

    /// The tokens of a prompt as the model sees it.
    ///
    /// # Errors
    /// [`RunError::Refused`] if the model has no chat template, or its template or tokenizer refuses the prompt.
    pub fn prompt_tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, RunError> {
        match prompt {
            Prompt::Text(text) => {
                let tokens = self.tokenizer.encode(text, false);
                let tokens =
                    tokens.map_err(|error| RunError::Refused(format!("prompt: {error}")))?;
                Ok(self.begin.into_iter().chain(tokens).collect())
            }
            Prompt::Messages(messages) => {
                let template = self.template.as_ref().ok_or_else(|| {
                    RunError::Refused(
                        "prompt: the model has no chat template: give a text instead".to_owned(),
                    )
                })?;
                template
                    .encode(&self.tokenizer, &conversation(messages)?)
                    .map_err(|error| RunError::Refused(format!("prompt: {error}")))
            }
        }
    }

    /// Answers a question; `pieces` get the answer as it comes.
    ///
    /// # Errors
    /// [`RunError`] if it cannot be asked so, too many wait, or the model fails.
    pub async fn answer(
        self: Arc<Self>,
        question: Question,
        seed: u64,
        pieces: Pieces,
    ) -> Result<Reply, RunError> {
        let model = self.clone();
        let request = compute(move || model.request(question, seed)).await?;
        let prompt_tokens = request.prompt.clone();
        let mut answer = self.generator()?.generate(request).map_err(failed)?;
        let mut said = Said::empty();
        loop {
            let (text, finished) = match answer.event().await {
                Some(Event::Token { text, .. }) => (text, None),
                Some(Event::Finished(finished)) => (finished.rest.clone(), Some(finished)),
                Some(Event::Failed(error)) => return Err(failed(error)),
                Some(Event::Embedding(_)) | None => return Err(failed(GenerateError::Stopped)),
            };
            if !text.is_empty() {
                said.text.push_str(&text);
                pieces.send(Piece::Text(text)).await;
            }
            let Some(finished) = finished else { continue };
            said.finish = match finished.reason {
                FinishReason::Length => Finish::Length,
                FinishReason::End | FinishReason::Stop(_) | FinishReason::Grammar => Finish::Stop,
            };
            return Ok(Reply {
                said,
                prompt_tokens,
                tokens: finished.tokens,
                trace_root: finished
                    .trace_root
                    .ok_or_else(|| RunError::Model("the run was not committed to".to_owned()))?,
            });
        }
    }

    /// What the generator is asked.
    fn request(&self, question: Question, seed: u64) -> Result<Request, RunError> {
        if let Some(setting) = unsupported(&question) {
            let refusal = format!("{setting}: this model cannot do that");
            return Err(RunError::Refused(refusal));
        }
        let prompt_tokens = self.prompt_tokens(&question.prompt)?;
        let most_tokens = question.max_tokens.unwrap_or(MAX_ANSWER_TOKENS);
        Ok(Request {
            most_tokens: usize::try_from(most_tokens).unwrap_or(usize::MAX),
            sampling: sampling(&question, seed),
            ends: self.ends.clone(),
            stops: question.stop,
            traced: true,
            ..Request::new(prompt_tokens, 0)
        })
    }

    fn generator(&self) -> Result<&Generator, RunError> {
        let start = || {
            Generator::start(
                self.ready.clone(),
                Some(self.tokenizer.clone()),
                self.settings,
            )
            .map_err(|error| format!("no thread to run it on: {error}"))
        };
        let generator = self.generator.get_or_init(start);
        generator
            .as_ref()
            .map_err(|error| RunError::Model(error.clone()))
    }
}

impl std::fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "LanguageModel({} tokens)",
            self.tokenizer.vocabulary_size()
        )
    }
}

impl Backend for LanguageModel {
    fn computed(&self) -> Computed {
        Computed::Exact
    }

    fn describe(&self) -> &ModelDescription {
        &self.description
    }

    fn run(self: Arc<Self>, inputs: Vec<Tensor>, seed: u64, pieces: Pieces) -> Run {
        Box::pin(async move {
            let question = question(&self.description, &inputs)?;
            let reply = self.answer(question, seed, pieces).await?;
            reply
                .to_tensors()
                .map_err(|error| RunError::Model(error.to_string()))
        })
    }
}

/// The question in a request's tensors.
pub(crate) fn question(
    description: &ModelDescription,
    inputs: &[Tensor],
) -> Result<Question, RunError> {
    description.check_inputs(inputs)?;
    Question::from_tensors(inputs).map_err(|error| RunError::Refused(error.to_string()))
}

/// The setting of a question that is not honoured, if there is one.
fn unsupported(question: &Question) -> Option<&'static str> {
    let asked = [
        (question.format != Format::Text, "format"),
        (!question.tools.is_empty(), "tools"),
        (question.frequency_penalty != 0, "frequency_penalty"),
        (question.presence_penalty != 0, "presence_penalty"),
        (question.logprobs.is_some(), "logprobs"),
    ];
    asked
        .into_iter()
        .find_map(|(asked, name)| asked.then_some(name))
}

/// What the template is given. The date is always the same one, so that the same conversation gives the same prompt.
fn conversation(messages: &[Message]) -> Result<Conversation, RunError> {
    let messages: Result<_, _> = messages.iter().map(turn).collect();
    Ok(Conversation {
        messages: messages?,
        add_generation_prompt: true,
        ..Conversation::default()
    })
}

/// One turn as templates know it.
fn turn(message: &Message) -> Result<Value, RunError> {
    let content = message.content.as_text().ok_or_else(|| {
        RunError::Refused("prompt: the model reads text, and no pictures".to_owned())
    })?;
    if !message.tool_calls.is_empty() || message.tool_call_id.is_some() {
        return Err(RunError::Refused(
            "prompt: the model knows no calls of tools".to_owned(),
        ));
    }
    Ok(json!({ "role": message.role, "content": content }))
}

/// Settings of a question, whose bounds were checked when it was read.
fn sampling(question: &Question, seed: u64) -> Sampling {
    let setting = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    Sampling {
        temperature: setting(question.temperature),
        top_k: setting(question.top_k),
        top_p: setting(question.top_p),
        repetition_penalty: setting(question.repetition_penalty),
        seed,
    }
}

fn failed(error: GenerateError) -> RunError {
    match error {
        GenerateError::Busy { .. } => RunError::Busy(error.to_string()),
        GenerateError::Empty
        | GenerateError::PromptTooLong { .. }
        | GenerateError::CacheTooSmall { .. }
        | GenerateError::Stops(_)
        | GenerateError::Grammar(_)
        | GenerateError::NoToken => RunError::Refused(format!("prompt: {error}")),
        GenerateError::Model(_) | GenerateError::Forward(_) | GenerateError::Stopped => {
            RunError::Model(error.to_string())
        }
    }
}
