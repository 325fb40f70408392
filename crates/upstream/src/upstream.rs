//! All servers that have a model: the one with the least to do is asked, and another one if it fails.

use crate::{
    AskError, Limits, UpstreamError, UpstreamKeys,
    answer::Reader,
    error::Fault,
    file::Described,
    server::{Query, Server},
};
use og_dialects::upstream::{Call, Service};
use og_types::language::{Piece, Question, RelayedReply};
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
    pub fn new(file: &str, keys: &UpstreamKeys, limits: Limits) -> Result<Self, UpstreamError> {
        let file = Described::read(file)?;
        let servers = file.urls.iter().map(|url| {
            let server = Server::new(url, &file, keys, limits)?;
            Ok(Arc::new(server))
        });
        Ok(Self {
            servers: servers.collect::<Result<_, _>>()?,
            service: file.service,
            model: file.model,
            max_tokens: file.max_tokens,
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
        let mut reader = Reader {
            pieces,
            begun: false,
            deadline: Instant::now() + self.limits.total,
        };
        let mut tried = vec![];
        let mut last = None;
        while tried.len() < MAX_TRIES {
            let Some((index, server, _place)) = self.choose(&tried) else {
                break;
            };
            tried.push(index);
            let failure = match server.ask(&query, &mut reader).await {
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
                Err(failure) => failure,
            };
            let may_another = failure.fault.is_some() && !reader.begun;
            if let Some(fault) = failure.fault {
                server.failed(fault);
            }
            last = Some(failure.error);
            if !may_another {
                break;
            }
        }
        Err(last.unwrap_or_else(|| self.nobody()))
    }

    fn query(&self, question: &Question, seed: u64, stream: bool) -> Result<Query, AskError> {
        let sent = self.service.request(&Call {
            question,
            model: &self.model,
            seed: (seed != 0).then_some(seed),
            stream,
            most_tokens: self.max_tokens,
        });
        let sent = sent.map_err(AskError::Refused)?;
        let body = serde_json::to_vec(&sent.body);
        let body = body.map_err(|error| AskError::Failed(format!("question: {error}")))?;
        Ok(Query {
            path: sent.path,
            body: body.into(),
        })
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
