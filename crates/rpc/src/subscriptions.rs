//! `eth_subscribe`: new blocks, logs and transactions are told as they come, on WebSockets.
//!
//! A subscriber is told of every block in order, and none is left out: who cannot keep up loses
//! its connection, as with Ethereum's nodes, and finds out that way.

mod feed;
mod source;

use crate::{
    chain::Chain,
    error::{CODE_LIMIT_EXCEEDED, CODE_METHOD_NOT_FOUND, invalid, server, with_code},
    eth::head,
    logs,
    metrics::Open,
    server::Client,
};
use alloy_primitives::U128;
use alloy_rpc_types_eth::Filter;
use feed::{Blocks, Feed};
use futures::{
    StreamExt as _,
    stream::{self, AbortHandle, Abortable, BoxStream},
};
use jsonrpsee::{
    Extensions,
    core::{RpcResult, async_trait},
    proc_macros::rpc,
};
use og_http::Shares;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value as Json, value::RawValue};
use source::Source;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Subscriptions at a time, of all clients and of one.
const SUBSCRIPTIONS: (usize, usize) = (2048, 1024);
/// Subscriptions of one connection.
const MAX_OF_CONNECTION: usize = 128;

/// Methods about subscriptions.
#[rpc(server)]
pub(crate) trait SubscriptionsApi {
    /// Begins to tell of `newHeads`, `logs`, `newPendingTransactions` or `syncing`; the
    /// subscription's name. Logs take a filter, transactions whether they are told in full.
    #[method(name = "eth_subscribe", with_extensions)]
    async fn subscribe(&self, kind: String, options: Option<Json>) -> RpcResult<U128>;

    /// Ends a subscription.
    #[method(name = "eth_unsubscribe", with_extensions)]
    async fn unsubscribe(&self, id: U128) -> RpcResult<bool>;
}

/// Answers the methods about subscriptions.
pub(crate) struct Subscriptions<C> {
    feed: Arc<Feed<C>>,
    places: Shares,
    open: Gauge,
}

impl<C: Chain> Subscriptions<C> {
    /// Subscriptions to what `chain` has, counted in `open`.
    pub(crate) fn new(chain: Arc<C>, open: Gauge) -> Self {
        Self {
            feed: Arc::new(Feed::new(chain)),
            places: Shares::new(SUBSCRIPTIONS.0, SUBSCRIPTIONS.1),
            open,
        }
    }

    /// What a subscription tells of, from the next block or transaction on.
    async fn source(&self, kind: &str, options: Option<Json>) -> RpcResult<Source<C>> {
        let chain = self.feed.chain();
        match kind {
            "newHeads" => Ok(Source::Heads(self.blocks().await?)),
            "logs" => {
                let filter = filter(options)?;
                Ok(Source::logs(self.blocks().await?, filter))
            }
            "newPendingTransactions" => {
                let full = match options {
                    None | Some(Json::Null) => false,
                    Some(Json::Bool(full)) => full,
                    Some(_) => return Err(invalid("newPendingTransactions takes true or false")),
                };
                Ok(Source::Transactions {
                    chain: chain.clone(),
                    hashes: chain.new_transactions(),
                    full,
                })
            }
            "syncing" => Ok(Source::Syncing { told: false }),
            // Ethereum's words.
            other => Err(with_code(
                CODE_METHOD_NOT_FOUND,
                format!("no {other:?} subscription in eth namespace"),
            )),
        }
    }

    async fn blocks(&self) -> RpcResult<Blocks<C>> {
        let newest = head(&**self.feed.chain()).await?.header().height;
        Ok(Blocks::after(self.feed.clone(), newest))
    }
}

/// The filter of a subscription to logs. Which blocks it names does not matter: coming ones count.
fn filter(options: Option<Json>) -> RpcResult<Filter> {
    let options = options.unwrap_or_else(|| Json::Object(Default::default()));
    let filter = serde_json::from_value(options).map_err(|error| invalid(error.to_string()))?;
    logs::query(&filter)?;
    Ok(filter)
}

#[async_trait]
impl<C: Chain> SubscriptionsApiServer for Subscriptions<C> {
    async fn subscribe(
        &self,
        extensions: &Extensions,
        kind: String,
        options: Option<Json>,
    ) -> RpcResult<U128> {
        let subscriber = subscriber(extensions)?;
        let full = || {
            with_code(
                CODE_LIMIT_EXCEEDED,
                "limit exceeded: too many subscriptions; end some that are not needed",
            )
        };
        let place = self.places.try_take(subscriber.session.client.0, 1);
        let place = place.ok_or_else(full)?;
        let source = self.source(&kind, options).await?;
        // Random as in Ethereum's nodes: after a reconnection, an old name means nothing.
        let id = U128::from(rand::random::<u128>());
        let open = Open::count(&self.open);
        // The place and the count are given back when the stream is dropped.
        let notices = stream::unfold((source, place, open), move |mut state| async move {
            let told = state.0.next().await;
            Some((told.map(|result| notice(id, &result)), state))
        });
        subscriber.start(id, notices.boxed()).ok_or_else(full)?;
        Ok(id)
    }

    async fn unsubscribe(&self, extensions: &Extensions, id: U128) -> RpcResult<bool> {
        match subscriber(extensions)?.session.end(&id) {
            true => Ok(true),
            false => Err(server("subscription not found")),
        }
    }
}

fn subscriber(extensions: &Extensions) -> RpcResult<&Subscriber> {
    // Ethereum's words, and what is meant.
    let unsupported = || {
        let reason =
            "notifications not supported: subscribe on a WebSocket (ws:// instead of http://)";
        with_code(CODE_METHOD_NOT_FOUND, reason)
    };
    extensions.get().ok_or_else(unsupported)
}

/// What the client is sent about one thing that is new.
fn notice(id: U128, result: &RawValue) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{id:#x}","result":{result}}}}}"#
    )
}

/// What a subscription tells, as texts for the client, until it ends or falls behind.
pub(crate) type Notices = BoxStream<'static, Result<String, CutOff>>;

/// Why a subscription cannot go on: some of what it should tell is not to be had any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff(pub(crate) &'static str);

/// The subscriptions of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    handles: Mutex<BTreeMap<U128, AbortHandle>>,
}

impl Session {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            handles: Mutex::default(),
        }
    }

    /// Ends a subscription; whether there was one.
    fn end(&self, id: &U128) -> bool {
        let handle = self.handles().remove(id);
        handle.inspect(AbortHandle::abort).is_some()
    }

    /// They are valid after a panic: each change is one call.
    fn handles(&self) -> MutexGuard<'_, BTreeMap<U128, AbortHandle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one message may do to the subscriptions of its connection.
#[derive(Clone)]
pub(crate) struct Subscriber {
    session: Arc<Session>,
    started: Arc<Mutex<Vec<Notices>>>,
}

impl Subscriber {
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        Self {
            session: session.clone(),
            started: Arc::default(),
        }
    }

    /// Notes a subscription that begins when the message is answered; `None` if there are too many.
    fn start(&self, id: U128, notices: Notices) -> Option<()> {
        let mut handles = self.session.handles();
        if handles.len() >= MAX_OF_CONNECTION {
            return None;
        }
        let (handle, registration) = AbortHandle::new_pair();
        handles.insert(id, handle);
        let notices = Abortable::new(notices, registration).boxed();
        self.started_now().push(notices);
        Some(())
    }

    /// What the message began; to be called once it is answered.
    pub(crate) fn started(&self) -> Vec<Notices> {
        std::mem::take(&mut *self.started_now())
    }

    fn started_now(&self) -> MutexGuard<'_, Vec<Notices>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
