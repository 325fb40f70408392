//! Who may ask: API keys, what each of them may use, and what everybody may who has none.
//!
//! A key is known by the SHA-256 of its secret alone. What is looked up is the hash of what a client sent, so how long that
//! takes tells nothing about any secret: nobody can choose what the hash of a guess looks like beside another. Secrets
//! have to be random and long for that, 32 bytes say, since a fast hash protects no password.

mod file;
mod limits;
mod new;
#[cfg(test)]
mod tests;

pub use file::KeysError;
pub(crate) use file::{Keys, KeysFile, follow};
pub use limits::Limits;
pub(crate) use limits::{Left, Limit, Standing};
pub use new::NewKey;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use file::Key;
use limits::{Exceeded, Usage};
use og_dialects::{ApiError, Fault};
use og_http::network;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Addresses without a key whose use is remembered at a time; more are told to come back.
const MAX_ADDRESSES: usize = 65_536;
/// After how many new addresses those are forgotten whose use no longer counts.
const ADDRESSES_BETWEEN_SWEEPS: usize = 1024;
/// How long one should wait for a place that others have.
const PLACE_WAIT: Duration = Duration::from_secs(1);
const API_KEY: &str = "x-api-key";

/// Lets clients in, each within its limits.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug)]
struct State {
    keys: Arc<Keys>,
    /// By the hash of the secret.
    of_keys: HashMap<[u8; 32], Arc<Mutex<Usage>>>,
    of_addresses: HashMap<IpAddr, Arc<Mutex<Usage>>>,
    new_addresses: usize,
}

/// A request that was let in; it counts among its client's until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass(Client);

/// Who asks: the owner of a key, or of an address.
#[derive(Debug)]
struct Client {
    key: Option<Arc<Key>>,
    limits: Limits,
    usage: Arc<Mutex<Usage>>,
}

/// Why a request was not let in.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: ApiError,
    /// The limit that is reached, and when it is worth to try again.
    pub(crate) limit: Option<(Limit, Duration)>,
    pub(crate) standing: Standing,
}

impl Gate {
    /// Lets in whom `keys` allow.
    pub(crate) fn new(keys: Keys, now: Instant) -> Self {
        let gate = Self(Mutex::new(State {
            keys: Arc::default(),
            of_keys: HashMap::new(),
            of_addresses: HashMap::new(),
            new_addresses: 0,
        }));
        gate.change(keys, now);
        gate
    }

    /// From now on, lets in whom `keys` allow. What was used under a key that stays goes on to count.
    pub(crate) fn change(&self, keys: Keys, now: Instant) {
        let state = &mut *self.0.lock();
        let hashes = keys.by_hash.keys();
        state.of_keys = hashes
            .map(|hash| {
                let usage = state.of_keys.remove(hash);
                (*hash, usage.unwrap_or_else(|| fresh(now)))
            })
            .collect();
        state.keys = Arc::new(keys);
    }

    /// Lets in a request with these headers from this address.
    ///
    /// # Errors
    /// [`Refused`] if it needs a key and brings none that is known, or has used what it may.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        now: Instant,
    ) -> Result<Pass, Box<Refused>> {
        let client = self.0.lock().client(headers, peer, now)?;
        let admitted = client.usage.lock().admit(&client.limits, now);
        match admitted {
            Ok(()) => Ok(Pass(client)),
            Err(exceeded) => Err(Box::new(client.refused(&exceeded, now))),
        }
    }
}

impl State {
    fn client(
        &mut self,
        headers: &HeaderMap,
        peer: IpAddr,
        now: Instant,
    ) -> Result<Client, Box<Refused>> {
        let mut sent = secrets(headers).peekable();
        let has_sent = sent.peek().is_some();
        for secret in sent {
            let hash: [u8; 32] = Sha256::digest(secret).into();
            if let (Some(key), Some(usage)) =
                (self.keys.by_hash.get(&hash), self.of_keys.get(&hash))
            {
                return Ok(Client {
                    limits: key.limits,
                    key: Some(key.clone()),
                    usage: usage.clone(),
                });
            }
        }
        // Clients of services that need no key send one all the same: it says nothing here.
        let Some(limits) = self.keys.without_key(peer) else {
            return Err(Box::new(Refused::unknown(has_sent)));
        };
        let usage = self.of_address(peer, now)?;
        Ok(Client {
            key: None,
            limits,
            usage,
        })
    }

    fn of_address(
        &mut self,
        peer: IpAddr,
        now: Instant,
    ) -> Result<Arc<Mutex<Usage>>, Box<Refused>> {
        let client = network(peer);
        if let Some(usage) = self.of_addresses.get(&client) {
            return Ok(usage.clone());
        }
        if self.new_addresses >= ADDRESSES_BETWEEN_SWEEPS {
            self.new_addresses = 0;
            self.of_addresses
                .retain(|_, usage| Arc::strong_count(usage) > 1 || usage.lock().counts(now));
        }
        self.new_addresses += 1;
        if self.of_addresses.len() >= MAX_ADDRESSES {
            return Err(Box::new(Refused::crowded()));
        }
        let usage = fresh(now);
        self.of_addresses.insert(client, usage.clone());
        Ok(usage)
    }
}

impl Pass {
    /// The name of the key, if one was brought.
    pub(crate) fn key_name(&self) -> Option<&str> {
        self.0.key.as_ref().map(|key| key.name.as_str())
    }

    /// Whether it is for this model, known by any of `names`.
    ///
    /// # Errors
    /// [`ApiError`] if the key is for others only.
    pub(crate) fn check_model(&self, names: &[&str]) -> Result<(), ApiError> {
        let models = self.0.key.as_ref().and_then(|key| key.models.as_ref());
        let Some(models) = models else { return Ok(()) };
        if names.iter().any(|name| models.contains(*name)) {
            return Ok(());
        }
        Err(ApiError {
            fault: Fault::Forbidden,
            message: "this API key is for other models: ask the operator".to_owned(),
            param: Some("model".to_owned()),
            code: Some("model_not_allowed"),
        })
    }

    /// Counts the tokens of an answer and its question.
    pub(crate) fn spend(&self, tokens: u64, now: Instant) {
        self.0.usage.lock().spend(&self.0.limits, tokens, now);
    }

    /// What is left.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        self.0.usage.lock().standing(&self.0.limits, now)
    }
}

impl Client {
    fn refused(&self, exceeded: &Exceeded, now: Instant) -> Refused {
        let who = match &self.key {
            Some(key) => format!("the API key {:?}", key.name),
            None => "your address, without an API key,".to_owned(),
        };
        let wait = exceeded.wait.unwrap_or(PLACE_WAIT);
        let message = format!(
            "{who} may use {}: try again in {} s",
            exceeded.limit.in_words(&self.limits),
            wait.as_secs_f64().ceil()
        );
        Refused {
            limit: Some((exceeded.limit, wait)),
            standing: self.usage.lock().standing(&self.limits, now),
            ..Refused::new(Fault::TooMany, "rate_limit_exceeded", message)
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.usage.lock().leave();
    }
}

impl Refused {
    fn new(fault: Fault, code: &'static str, message: String) -> Self {
        Self {
            error: ApiError {
                fault,
                message,
                param: None,
                code: Some(code),
            },
            limit: None,
            standing: Standing::default(),
        }
    }

    fn unknown(has_sent: bool) -> Self {
        let message = match has_sent {
            true => "this gateway does not know the API key: check it, or ask the operator",
            false => {
                "this gateway needs an API key: send it as \"Authorization: Bearer KEY\" or \"x-api-key: KEY\""
            }
        };
        Self::new(Fault::Unknown, "invalid_api_key", message.to_owned())
    }

    fn crowded() -> Self {
        let message = "too many clients without an API key: try again, or ask the operator for one";
        Self::new(Fault::Busy, "too_many_clients", message.to_owned())
    }
}

/// What a client sent as its secret: as OpenAI's clients do, or as Anthropic's.
fn secrets(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, secret) = value.as_bytes().split_at_checked(7)?;
        scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| secret.trim_ascii())
    });
    let api_key = headers.get(API_KEY).map(|value| value.as_bytes());
    bearer.into_iter().chain(api_key)
}

fn fresh(now: Instant) -> Arc<Mutex<Usage>> {
    Arc::new(Mutex::new(Usage::new(now)))
}
