//! Language models as backends: a question in tensors becomes a prompt, the answer becomes tensors again.

mod calls;
mod constraint;
mod prompt;
mod reading;

use crate::{
    backend::{Backend, Count, Pieces, Run, RunError},
    exact::{Event, GenerateError, ModelError, Ready, Request},
    on_demand::{OnDemand, failed, unfit},
    processors::compute,
    programs::RunSettings,
};
use calls::{CallForm, CallReader};
use constraint::{cannot, constraint, offered, refused};
use og_program::{file::TextAssets, sample::Sampling};
use og_text::{ChatTemplate, GrammarError, GrammarFactory, Tokenizer};
use og_types::{
    Computed, ModelDescription, Tensor,
    language::{self, Format, Prompt, Question, Reply},
};
use reading::Reading;
use std::sync::{Arc, OnceLock};

/// The input that holds the text.
const PROMPT: &str = "prompt";
/// Tokens of an answer whose question sets no limit, if the model's context has room for so many.
pub const UNLIMITED_ANSWER_TOKENS: usize = 4096;

/// A language model that answers questions.
pub struct LanguageModel {
    tokenizer: Arc<Tokenizer>,
    template: Option<Template>,
    begin: Option<u32>,
    ends: Vec<u32>,
    description: ModelDescription,
    generator: OnDemand,
    /// Made for the first question that needs one.
    grammars: OnceLock<Result<GrammarFactory, GrammarError>>,
}

/// A chat template, and what its text says of the model.
struct Template {
    compiled: ChatTemplate,
    source: String,
    calls: Option<CallForm>,
}

impl LanguageModel {
    /// A model that has text assets.
    ///
    /// # Errors
    /// [`ModelError::Text`] if it has none, or they cannot be used.
    pub fn new(ready: Arc<Ready>, settings: RunSettings) -> Result<Self, ModelError> {
        let assets = ready.model().text().cloned();
        let assets = assets.ok_or_else(|| ModelError::Text("it has no tokenizer".to_owned()))?;
        Self::with_assets(ready, assets, settings)
    }

    fn with_assets(
        ready: Arc<Ready>,
        assets: TextAssets,
        settings: RunSettings,
    ) -> Result<Self, ModelError> {
        let unusable = |reason: String| ModelError::Text(reason);
        let tokenizer = Tokenizer::from_json(&assets.tokenizer)
            .map_err(|error| unusable(format!("tokenizer: {error}")))?;
        let template = assets.chat_template.map(|source| -> Result<_, ModelError> {
            let compiled = ChatTemplate::new(&source, &assets.special);
            Ok(Template {
                compiled: compiled.map_err(|error| unusable(format!("chat template: {error}")))?,
                calls: CallForm::of(&source),
                source,
            })
        });
        let tokenizer = Arc::new(tokenizer);
        Ok(Self {
            template: template.transpose()?,
            begin: assets.begin,
            ends: assets.ends,
            description: language::description(),
            generator: OnDemand::new(ready, tokenizer.clone(), settings),
            tokenizer,
            grammars: OnceLock::new(),
        })
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
        let (request, mut reading) = compute(move || model.ask(question, seed)).await?;
        let prompt_tokens = request.prompt.clone();
        let answer = self.generator.get()?.generate(request);
        let mut answer = answer.map_err(failed_prompt)?;
        loop {
            match answer.event().await {
                Some(Event::Token {
                    id,
                    text,
                    probabilities,
                }) => tell(&pieces, reading.token(id, &text, probabilities)).await,
                Some(Event::Finished(finished)) => {
                    tell(&pieces, reading.end(&finished.rest, finished.reason)).await;
                    let root = finished.trace_root.ok_or_else(|| {
                        RunError::Model("the run was not committed to".to_owned())
                    })?;
                    return Ok(Reply {
                        said: reading.into_said(),
                        prompt_tokens,
                        tokens: finished.tokens,
                        trace_root: root,
                    });
                }
                Some(Event::Failed(error)) => return Err(failed_prompt(error)),
                Some(Event::Embeddings(_)) | None => {
                    return Err(failed_prompt(GenerateError::Stopped));
                }
            }
        }
    }

    /// What the generator is asked, and what reads its answer.
    fn ask(&self, question: Question, seed: u64) -> Result<(Request, Reading), RunError> {
        let form = self.template.as_ref().and_then(|template| template.calls);
        let calls = self.call_reader(&question, form)?;
        let grammar = constraint(&question, form, &self.tokenizer)?
            .map(|source| {
                let setting = match question.format {
                    Format::Text => "tools",
                    _ => "format",
                };
                let grammars = self.grammars();
                let grammars = grammars.map_err(|error| refused(setting, cannot(error)))?;
                let compiled = grammars.compile(&source);
                compiled.map_err(|error| refused(setting, cannot(&error)))
            })
            .transpose()?;
        let most_tokens = question.max_tokens.map(usize::try_from);
        let request = Request {
            most_tokens: most_tokens
                .map_or(UNLIMITED_ANSWER_TOKENS, |most| most.unwrap_or(usize::MAX)),
            sampling: sampling(&question, seed),
            ends: self.ends.clone(),
            shown: calls
                .as_ref()
                .map_or_else(Vec::new, |_| self.call_marks(form)),
            grammar,
            logprobs: question
                .logprobs
                .and_then(|count| usize::try_from(count).ok()),
            traced: true,
            ..Request::new(self.prompt_tokens(&question)?, 0)
        };
        let reading = Reading::new(self.tokenizer.clone(), self.ends.clone(), calls);
        let request = Request {
            stops: question.stop,
            ..request
        };
        Ok((request, reading))
    }

    /// The tokens of a question's prompt as the model sees it.
    fn prompt_tokens(&self, question: &Question) -> Result<Vec<u32>, RunError> {
        match &question.prompt {
            Prompt::Text(text) => {
                let tokens = self.tokenizer.encode(text, false);
                let tokens = tokens.map_err(|error| unfit(PROMPT, &error))?;
                Ok(self.begin.into_iter().chain(tokens).collect())
            }
            Prompt::Messages(messages) => {
                let template = self.template.as_ref().ok_or_else(|| {
                    let reason = "is a conversation, and the model has no chat template: give a text instead";
                    refused("prompt", reason)
                })?;
                let conversation =
                    prompt::conversation(&template.source, messages, offered(question))?;
                let tokens = template.compiled.encode(&self.tokenizer, &conversation);
                tokens.map_err(|error| unfit(PROMPT, &error))
            }
        }
    }

    /// What finds calls in the answer; `None` if no tools are offered.
    fn call_reader(
        &self,
        question: &Question,
        form: Option<CallForm>,
    ) -> Result<Option<CallReader>, RunError> {
        let tools = offered(question);
        if tools.is_empty() {
            return Ok(None);
        }
        let Prompt::Messages(messages) = &question.prompt else {
            let reason = "need a conversation, and the prompt is a text";
            return Err(refused("tools", reason));
        };
        let unknown = || {
            let reason = "cannot be called by this model: its chat template knows no calls";
            refused("tools", reason)
        };
        let form = form.ok_or_else(unknown)?;
        let names = tools.iter().map(|tool| tool.name.clone()).collect();
        let several = question.parallel_tool_calls;
        let earlier = messages
            .iter()
            .map(|message| message.tool_calls.len())
            .sum();
        Ok(Some(CallReader::new(form, names, several, earlier)))
    }

    /// The special tokens among the marks of calls.
    fn call_marks(&self, form: Option<CallForm>) -> Vec<u32> {
        let marks = form.map(CallForm::marks);
        let marks = marks
            .into_iter()
            .flat_map(|(open, close)| [Some(open), close]);
        marks
            .flatten()
            .filter_map(|mark| self.tokenizer.id(mark))
            .collect()
    }

    fn grammars(&self) -> Result<&GrammarFactory, &GrammarError> {
        let make = || GrammarFactory::new(&self.tokenizer, &self.ends);
        self.grammars.get_or_init(make).as_ref()
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

    fn count_prompt(self: Arc<Self>, inputs: Vec<Tensor>) -> Count {
        Box::pin(compute(move || self.count(&inputs)))
    }
}

impl LanguageModel {
    /// How many tokens a question's prompt has.
    fn count(&self, inputs: &[Tensor]) -> Result<u32, RunError> {
        let tokens = self.prompt_tokens(&question(&self.description, inputs)?)?;
        Ok(u32::try_from(tokens.len()).unwrap_or(u32::MAX))
    }
}

/// The question in a request's tensors.
pub(crate) fn question(
    description: &ModelDescription,
    inputs: &[Tensor],
) -> Result<Question, RunError> {
    description.check_inputs(inputs)?;
    Question::from_tensors(inputs).map_err(|error| RunError::Refused(error.into()))
}

async fn tell(to: &Pieces, pieces: Vec<language::Piece>) {
    for piece in pieces {
        to.send(piece).await;
    }
}

/// Settings of a question, whose bounds were checked when it was read.
fn sampling(question: &Question, seed: u64) -> Sampling {
    let setting = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    let penalty = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    Sampling {
        temperature: setting(question.temperature),
        top_k: setting(question.top_k),
        top_p: setting(question.top_p),
        repetition_penalty: setting(question.repetition_penalty),
        frequency_penalty: penalty(question.frequency_penalty),
        presence_penalty: penalty(question.presence_penalty),
        seed,
    }
}

fn failed_prompt(error: GenerateError) -> RunError {
    failed(error, PROMPT)
}

#[cfg(test)]
mod tests;
