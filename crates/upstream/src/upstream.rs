//! All servers that have a model: the one with the least to do is asked, and another one if it fails.

use crate::{
    AskError, Limits, UpstreamAccess, UpstreamError,
    answer::Reader,
    error::{Failure, Fault},
    file::{Described, Task},
    server::{Query, Server},
};
use og_dialects::{
    openai::embeddings,
    upstream::{Call, Sent, Service},
};
use og_types::{
    embedding::{RelayedVectors, Texts},
    language::{Piece, Question, RelayedReply},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    sync::{SemaphorePermit, mpsc},
    time::Instant,
};

/// Servers that are asked one question at most, one after the other.
const MAX_TRIES: usize = 3;
/// Servers that an error names at most.
const MAX_NAMED: usize = 3;

/// A model that other services run.
#[derive(Debug)]
pub struct Upstream {
    service: Service,
    model: String,
    max_tokens: i64,
    task: Task,
    servers: Vec<Arc<Server>>,
    /// Where the search for the next server begins.
    turn: AtomicUsize,
    limits: Limits,
}

impl Upstream {
    /// A model from its file's text (`docs/formats/model.md`, "A relay file"). Nobody is asked yet.
    ///
    /// # Errors
    /// [`UpstreamError`] if the file is malformed, or a host's key would travel unencrypted.
    pub fn new(file: &str, access: &UpstreamAccess, limits: Limits) -> Result<Self, UpstreamError> {
        let file = Described::read(file)?;
        let servers = file.urls.iter().map(|url| {
            let server = Server::new(url, &file, access, limits)?;
            Ok(Arc::new(server))
        });
        Ok(Self {
            servers: servers.collect::<Result<_, _>>()?,
            service: file.service,
            model: file.model,
            max_tokens: file.max_tokens,
            task: file.task,
            turn: AtomicUsize::new(0),
            limits,
        })
    }

    /// Asks a question. If there is somebody for `pieces`, the answer is streamed to them as it comes. Services that take no
    /// seed refuse one.
    ///
    /// Another server is asked if one fails, unless a piece of its answer was handed on. Dropping the future drops the
    /// request.
    ///
    /// # Errors
    /// [`AskError`] says whose fault it is that there is no answer.
    pub async fn ask(
        &self,
        question: &Question,
        seed: u64,
        pieces: Option<&mpsc::Sender<Piece>>,
    ) -> Result<RelayedReply, AskError> {
        let query = self.query(question, seed, pieces.is_some())?;
        let mut reader = self.reader(pieces);
        let mut tries = Tries::new(self);
        while let Some((server, _place)) = tries.next() {
            match server.ask(&query, &mut reader).await {
                Ok(answered) => {
                    server.health().succeeded();
                    return Ok(RelayedReply {
                        said: answered.said,
                        upstream: server.host().to_owned(),
                        upstream_model: answered.report.model,
                        prompt_tokens: answered.report.prompt_tokens,
                        tokens: answered.report.tokens,
                    });
                }
                Err(failure) => tries.failed(server, failure, reader.begun),
            }
        }
        Err(tries.error())
    }

    /// Asks for vectors, of a model that [embeds](Self::embeds).
    ///
    /// Another server is asked if one fails. Dropping the future drops the request.
    ///
    /// # Errors
    /// [`AskError`] says whose fault it is that there is no answer.
    pub async fn embed(&self, texts: &Texts) -> Result<RelayedVectors, AskError> {
        let query = query(embeddings::sent(texts, &self.model))?;
        let reader = self.reader(None);
        let mut tries = Tries::new(self);
        while let Some((server, _place)) = tries.next() {
            match server.embed(&query, texts.texts.len(), &reader).await {
                Ok(embedded) => {
                    server.health().succeeded();
                    return Ok(RelayedVectors {
                        vectors: embedded.vectors,
                        prompt_tokens: embedded.tokens,
                        upstream: server.host().to_owned(),
                        upstream_model: embedded.model,
                    });
                }
                Err(failure) => tries.failed(server, failure, false),
            }
        }
        Err(tries.error())
    }

    /// Whether the model makes vectors of texts, and answers no questions.
    pub const fn embeds(&self) -> bool {
        matches!(self.task, Task::Embeddings)
    }

    fn reader<'a>(&self, pieces: Option<&'a mpsc::Sender<Piece>>) -> Reader<'a> {
        Reader {
            pieces,
            begun: false,
            deadline: Instant::now() + self.limits.total,
        }
    }

    fn query(&self, question: &Question, seed: u64, stream: bool) -> Result<Query, AskError> {
        let sent = self.service.request(&Call {
            question,
            model: &self.model,
            seed: (seed != 0).then_some(seed),
            stream,
            most_tokens: self.max_tokens,
        });
        query(sent.map_err(AskError::Refused)?)
    }

    /// The server that has the least to do of those that are well and were not tried, with a place there. Those that have
    /// equally much take turns.
    fn choose(&self, tried: &[usize]) -> Option<(usize, &Arc<Server>, SemaphorePermit<'_>)> {
        let count = self.servers.len();
        let begin = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        let mut full = vec![];
        loop {
            let servers = self.servers.iter().enumerate().cycle();
            let free = servers.skip(begin).take(count).filter(|(index, server)| {
                !tried.contains(index) && !full.contains(index) && server.health().is_well()
            });
            let (index, server) = free.min_by_key(|(_, server)| server.running())?;
            match server.place() {
                Some(place) => return Some((index, server, place)),
                None => full.push(index),
            }
        }
    }

    /// Why nobody was asked.
    fn nobody(&self) -> AskError {
        let out = self
            .servers
            .iter()
            .map(|server| (server, server.health().out()));
        let out: Vec<(_, Option<Fault>)> = out.collect();
        if out.iter().any(|(_, out)| out.is_none()) {
            let busy = "the servers of this model have as many requests as they take";
            return AskError::Busy(format!("{busy}: try again later"));
        }
        let named = out.iter().take(MAX_NAMED).map(|(server, fault)| {
            let what = fault.as_ref().map_or("", |fault| &fault.what);
            format!("{} {what}", server.host())
        });
        let named: Vec<_> = named.collect();
        let message = format!(
            "no server of this model can be asked at present: {}",
            named.join("; ")
        );
        match out
            .iter()
            .flat_map(|(_, fault)| fault)
            .any(|fault| fault.busy)
        {
            true => AskError::Busy(message),
            false => AskError::Failed(message),
        }
    }
}

/// A query as it is sent.
fn query(sent: Sent) -> Result<Query, AskError> {
    let body = serde_json::to_vec(&sent.body);
    let body = body.map_err(|error| AskError::Failed(format!("question: {error}")))?;
    Ok(Query {
        path: sent.path,
        body: body.into(),
    })
}

/// The servers that are asked one query, one after the other, and why the last gave no answer.
struct Tries<'a> {
    upstream: &'a Upstream,
    tried: Vec<usize>,
    last: Option<AskError>,
    /// Nobody else is to be asked.
    is_over: bool,
}

impl<'a> Tries<'a> {
    const fn new(upstream: &'a Upstream) -> Self {
        Self {
            upstream,
            tried: vec![],
            last: None,
            is_over: false,
        }
    }

    /// The server to be asked now, with a place there.
    fn next(&mut self) -> Option<(&'a Arc<Server>, SemaphorePermit<'a>)> {
        if self.is_over || self.tried.len() == MAX_TRIES {
            return None;
        }
        let (index, server, place) = self.upstream.choose(&self.tried)?;
        self.tried.push(index);
        Some((server, place))
    }

    /// A server gave no answer; whether a part of one was handed on.
    fn failed(&mut self, server: &Arc<Server>, failure: Failure, begun: bool) {
        // A question that is at fault is so everywhere.
        self.is_over = begun || failure.fault.is_none();
        if let Some(fault) = failure.fault {
            server.failed(fault);
        }
        self.last = Some(failure.error);
    }

    fn error(self) -> AskError {
        self.last.unwrap_or_else(|| self.upstream.nobody())
    }
}
