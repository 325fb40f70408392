//! Chat templates: a conversation becomes the text that a model was trained to continue.
//!
//! Models bring a Jinja template written for `transformers`, whose conventions hold here: blocks are trimmed,
//! `raise_exception`, `strftime_now`, Python's methods of strings and dictionaries, `tojson` as Python prints.
//!
//! Work, stack and output are bounded, with one exception that is known: comparing (`==`, `in`) or joining (`~`) lists
//! that hold one list twice, many levels deep, takes `minijinja` time that its fuel does not count. Only a template
//! can make such lists, never a conversation: use templates of models that you trust with your processor's time.

mod moment;
mod python;
#[cfg(test)]
mod tests;

pub use moment::Moment;

use crate::{
    EncodeError, Tokenizer,
    chat::{ChatError, Conversation},
    contain::{contain, shorten},
};
use minijinja::{Environment, Error, ErrorKind, Value, syntax::SyntaxConfig};
use std::{collections::BTreeMap, fmt, io};

/// Bytes of one template.
const MAX_TEMPLATE_BYTES: usize = 256 << 10;
/// Bytes of one rendered conversation.
const MAX_RENDERED_BYTES: usize = 8 << 20;
/// Work that one rendering may do: an instruction each, or 64 bytes produced.
const MAX_FUEL: u64 = 1_000_000;
/// Stack of the thread that renders. A template can nest lists about as deep as a sixth of its fuel, and freeing them
/// is recursive; memory is used only as far as they go.
const STACK_BYTES: usize = 256 << 20;
/// Calls within calls.
const MAX_RECURSION: usize = 100;
/// The name under which the environment keeps the template.
const NAME: &str = "chat";

/// Why a conversation was not rendered.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template is too large.
    #[error("the chat template has {0} bytes; at most {MAX_TEMPLATE_BYTES} are read")]
    TooLarge(usize),
    /// The template is not Jinja as models use it.
    #[error("the chat template cannot be read: {0}")]
    Syntax(String),
    /// The template refuses this conversation, in its own words.
    #[error("the model's chat template refuses this conversation: {0}")]
    Raised(String),
    /// Rendering takes too long or makes too much text.
    #[error(
        "rendering the chat template took too much work or made more than {MAX_RENDERED_BYTES} bytes"
    )]
    TooMuchWork,
    /// The template failed.
    #[error("the chat template failed: {0}")]
    Failed(String),
    /// The conversation is out of bounds.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The rendered text cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// Compiles a template. `special` are variables like `bos_token`.
    ///
    /// # Errors
    /// If it is too large or not Jinja.
    pub fn new(source: &str, special: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLarge(source.len()));
        }
        let mut environment = Environment::new();
        environment.set_syntax(syntax()?);
        environment.set_fuel(Some(MAX_FUEL));
        environment.set_recursion_limit(MAX_RECURSION);
        environment.set_debug(false);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        python::install(&mut environment);
        let source = without_generation_marks(source);
        contain(|| environment.add_template_owned(NAME, source))
            .map_err(TemplateError::Syntax)?
            .map_err(|error| TemplateError::Syntax(describe(&error)))?;
        Ok(Self {
            environment,
            special: special.clone(),
        })
    }

    /// The text of a conversation. Special tokens that its messages spell are in it as they were written: for
    /// showing. What a model is given comes from [`ChatTemplate::encode`].
    ///
    /// # Errors
    /// If the conversation is out of bounds, or the template refuses it or fails.
    pub fn render(&self, conversation: &Conversation) -> Result<String, TemplateError> {
        conversation.check()?;
        self.render_apart(conversation)
    }

    /// The text of a conversation for [`Tokenizer::encode_guarded`], and the guard: a character that stands inside
    /// whatever spells a special token in messages, tools and variables, so that only the template's own special
    /// tokens are interpreted. The template sees the guard too: one that looks for a special token in a message
    /// does not find it there.
    ///
    /// # Errors
    /// If the conversation is out of bounds, or the template refuses it or fails.
    pub fn render_guarded(
        &self,
        tokenizer: &Tokenizer,
        conversation: &Conversation,
    ) -> Result<(String, char), TemplateError> {
        let (guarded, guard) = conversation.guarded(tokenizer.spellings())?;
        let text = self.render_apart(&guarded)?;
        Ok((text, guard))
    }

    /// The token ids of a conversation. Special tokens in the template are interpreted, those that messages spell
    /// are not; none are added (templates write BOS themselves).
    ///
    /// # Errors
    /// If it cannot be rendered, or the text is too long for the tokenizer.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        conversation: &Conversation,
    ) -> Result<Vec<u32>, TemplateError> {
        let (text, guard) = self.render_guarded(tokenizer, conversation)?;
        Ok(tokenizer.encode_guarded(&text, guard)?)
    }

    /// Renders on a thread with a stack that no template can exhaust.
    fn render_apart(&self, conversation: &Conversation) -> Result<String, TemplateError> {
        let failed = |what: &dyn fmt::Display| TemplateError::Failed(what.to_string());
        std::thread::scope(|scope| {
            let work = || contain(|| self.render_checked(conversation));
            let thread = std::thread::Builder::new()
                .name("chat template".to_owned())
                .stack_size(STACK_BYTES);
            let thread = thread
                .spawn_scoped(scope, work)
                .map_err(|error| failed(&error))?;
            let rendered = thread.join().map_err(|_| failed(&"its thread ended"))?;
            rendered.map_err(|panic| failed(&panic))?
        })
    }

    fn render_checked(&self, conversation: &Conversation) -> Result<String, TemplateError> {
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| failure(&error))?;
        let mut out = Bounded(Vec::new());
        match template.render_captured_to(self.variables(conversation), &mut out) {
            Ok(_) => {
                String::from_utf8(out.0).map_err(|error| TemplateError::Failed(error.to_string()))
            }
            Err(error) => Err(failure(&error)),
        }
    }

    fn variables(&self, conversation: &Conversation) -> Value {
        let mut variables: BTreeMap<String, Value> = conversation
            .extra
            .iter()
            .map(|(name, value)| (name.clone(), python::value(value)))
            .collect();
        variables.extend(
            self.special
                .iter()
                .map(|(name, token)| (name.clone(), Value::from(token.as_str()))),
        );
        variables.insert("messages".to_owned(), python::list(&conversation.messages));
        let tools = match conversation.tools.as_slice() {
            [] => Value::from(()),
            tools => python::list(tools),
        };
        variables.insert("tools".to_owned(), tools);
        variables.insert(
            "add_generation_prompt".to_owned(),
            Value::from(conversation.add_generation_prompt),
        );
        let now = conversation.now;
        let strftime_now = move |format: &str| {
            now.format(format)
                .map_err(|error| Error::new(ErrorKind::InvalidOperation, error))
        };
        variables.insert(
            "strftime_now".to_owned(),
            Value::from_function(strftime_now),
        );
        Value::from(variables)
    }
}

/// Blocks take the line break behind them and the spaces before them.
fn syntax() -> Result<SyntaxConfig, TemplateError> {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    syntax.map_err(|error| TemplateError::Syntax(describe(&error)))
}

/// `{% generation %}` marks the answer for training; here it means nothing.
fn without_generation_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(end + 2);
        let name = tag
            .trim_start_matches(['{', '%', '-', '+'])
            .trim_end_matches(['}', '%', '-', '+'])
            .trim();
        match name {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn describe(error: &Error) -> String {
    let line = error
        .line()
        .map_or(String::new(), |line| format!(" in line {line}"));
    shorten(&format!("{error}{line}"))
}

fn failure(error: &Error) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(raised) = current.downcast_ref::<python::Raised>() {
            return TemplateError::Raised(shorten(&raised.0));
        }
        cause = current.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => TemplateError::TooMuchWork,
        _ => TemplateError::Failed(describe(error)),
    }
}

/// A buffer that refuses to grow without end.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RENDERED_BYTES {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}
