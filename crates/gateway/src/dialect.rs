//! The published formats in which people talk to language models here, behind one set of words.

use axum::http::HeaderMap;
use og_dialects::{
    ApiError, Head, Usage, anthropic,
    openai::{Defaults, Style, chat, completions, responses},
    parameter,
};
use og_types::language::{Piece, PieceError, Question, Said};
use serde_json::{Map, Value};

/// What OpenGradient's clients send with every request, and nobody else.
const OPENGRADIENT_HEADER: &str = "x-settlement-type";

/// Which format a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI's `/v1/chat/completions`.
    Chat,
    /// OpenAI's `/v1/completions`.
    Completions,
    /// OpenAI's `/v1/responses`.
    Responses,
    /// Anthropic's `/v1/messages`.
    Messages,
    /// OpenAI's chat in an envelope: `/v1/ohttp`.
    Sealed,
}

/// A request, read.
pub(crate) enum Wanted {
    Chat(chat::Request, Style),
    Completions(completions::Request, Style),
    Responses(Box<responses::Request>),
    Messages(anthropic::Request),
}

/// Whose client sent a request with these headers.
pub(crate) fn style(headers: &HeaderMap) -> Style {
    match headers.contains_key(OPENGRADIENT_HEADER) {
        true => Style::OpenGradient,
        false => Style::OpenAi,
    }
}

impl Dialect {
    /// Reads a request.
    ///
    /// # Errors
    /// [`ApiError`] names the parameter at fault.
    pub(crate) fn parse(self, body: &[u8], style: Style) -> Result<Wanted, ApiError> {
        let defaults = |openai| match style {
            Style::OpenAi => openai,
            Style::OpenGradient => Defaults::OPENGRADIENT,
        };
        Ok(match self {
            Self::Chat | Self::Sealed => Wanted::Chat(
                chat::Request::parse(body, defaults(Defaults::OPENAI))?,
                style,
            ),
            Self::Completions => Wanted::Completions(
                completions::Request::parse(body, defaults(Defaults::OPENAI_COMPLETIONS))?,
                style,
            ),
            Self::Responses => Wanted::Responses(Box::new(responses::Request::parse(body)?)),
            Self::Messages => Wanted::Messages(anthropic::Request::parse(body)?),
        })
    }

    /// An error as this format's clients read it.
    pub(crate) fn error(self, error: &ApiError) -> Value {
        match self {
            Self::Chat | Self::Completions | Self::Responses => error.openai(),
            Self::Messages => error.anthropic(),
            Self::Sealed => error.opengradient(),
        }
    }
}

impl Wanted {
    /// The model, as the client names it.
    pub(crate) fn model(&self) -> &str {
        match self {
            Self::Chat(request, _) => &request.model,
            Self::Completions(request, _) => &request.model,
            Self::Responses(request) => &request.model,
            Self::Messages(request) => &request.model,
        }
    }

    /// What the ids of answers begin with.
    pub(crate) const fn id_prefix(&self) -> &'static str {
        match self {
            Self::Chat(..) => "chatcmpl-",
            Self::Completions(..) => "cmpl-",
            Self::Responses(_) => "resp_",
            Self::Messages(_) => "msg_",
        }
    }

    /// Whether the answer is streamed.
    pub(crate) fn stream(&self) -> bool {
        match self {
            Self::Chat(request, _) => request.stream,
            Self::Completions(request, _) => request.stream,
            Self::Responses(request) => request.stream,
            Self::Messages(request) => request.stream,
        }
    }

    /// What the client calls an input of a question: refusals of models name it.
    pub(crate) const fn parameter(&self) -> fn(&str) -> String {
        match self {
            Self::Chat(..) => parameter::chat,
            Self::Completions(..) => parameter::completions,
            Self::Responses(_) => parameter::responses,
            Self::Messages(_) => parameter::messages,
        }
    }

    /// The seed, if the client chose one.
    pub(crate) fn seed(&self) -> Option<u64> {
        match self {
            Self::Chat(request, _) => request.seed,
            Self::Completions(request, _) => request.seed,
            Self::Responses(_) | Self::Messages(_) => None,
        }
    }

    /// What is asked: one question for each choice of the answer.
    pub(crate) fn questions(&self) -> Vec<Question> {
        match self {
            Self::Chat(request, _) => vec![request.question.clone(); request.choices],
            Self::Completions(request, _) => {
                let each = request.questions.iter();
                each.flat_map(|question| vec![question.clone(); request.choices])
                    .collect()
            }
            Self::Responses(request) => vec![request.question.clone()],
            Self::Messages(request) => vec![request.question.clone()],
        }
    }

    /// The body of a whole answer.
    ///
    /// # Errors
    /// [`ApiError`] if what the model said has no place in this format.
    pub(crate) fn whole(
        &self,
        head: &Head,
        said: &[Said],
        usage: Option<Usage>,
        extra: Map<String, Value>,
    ) -> Result<Value, ApiError> {
        let nothing = Said::empty();
        let first = said.first().unwrap_or(&nothing);
        Ok(match self {
            Self::Chat(_, style) => chat::whole(head, *style, said, usage, extra),
            Self::Completions(_, style) => completions::whole(head, *style, said, usage, extra),
            Self::Responses(request) => responses::whole(head, &request.echo, first, usage, extra),
            Self::Messages(request) => {
                anthropic::whole(head, first, &request.question.stop, usage, extra)?
            }
        })
    }

    /// What writes the frames of a streamed answer.
    pub(crate) fn frames(&self, head: Head) -> Frames {
        match self {
            Self::Chat(request, style) => Frames::Chat(chat::Stream::new(
                head,
                *style,
                request.include_usage,
                request.choices,
            )),
            Self::Completions(request, _) => Frames::Completions(completions::Stream::new(
                head,
                request.include_usage,
                request.questions.len() * request.choices,
            )),
            Self::Responses(request) => {
                Frames::Responses(Box::new(responses::Stream::new(head, request.echo.clone())))
            }
            Self::Messages(request) => {
                let stops = request.question.stop.clone();
                Frames::Messages(anthropic::Stream::new(head, stops))
            }
        }
    }
}

/// Writes the frames of a streamed answer.
pub(crate) enum Frames {
    Chat(chat::Stream),
    Completions(completions::Stream),
    Responses(Box<responses::Stream>),
    Messages(anthropic::Stream),
}

impl Frames {
    /// What came for one choice.
    ///
    /// # Errors
    /// [`PieceError`] on pieces that no answer consists of.
    pub(crate) fn pieces(&mut self, index: usize, pieces: &[Piece]) -> Result<String, PieceError> {
        match self {
            Self::Chat(stream) => stream.pieces(index, pieces),
            Self::Completions(stream) => Ok(stream.pieces(index, pieces)),
            Self::Responses(stream) => stream.pieces(pieces),
            Self::Messages(stream) => stream.pieces(pieces),
        }
    }

    /// The last frames.
    pub(crate) fn end(
        self,
        said: &[Said],
        usage: Option<Usage>,
        extra: Map<String, Value>,
    ) -> String {
        let finishes: Vec<_> = said.iter().map(|said| said.finish).collect();
        let first = finishes.first().copied().unwrap_or(Said::empty().finish);
        match self {
            Self::Chat(stream) => stream.end(&finishes, usage, extra),
            Self::Completions(stream) => stream.end(&finishes, usage, extra),
            Self::Responses(stream) => stream.end(first, usage, extra),
            Self::Messages(stream) => stream.end(first, usage, extra),
        }
    }

    /// The frame that says that nothing more comes, and why.
    pub(crate) fn error(&mut self, error: &ApiError) -> String {
        match self {
            Self::Chat(stream) => stream.error(error),
            Self::Completions(stream) => stream.error(error),
            Self::Responses(stream) => stream.error(error),
            Self::Messages(stream) => stream.error(error),
        }
    }
}
