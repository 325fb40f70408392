//! Calls in turn: a bounded number is worked on at a time, apart from what moves bytes, and no
//! client holds up the others.

use super::access::Client;
use futures::executor::block_on;
use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT},
    server::MethodResponse,
    types::{ErrorCode, Id, Request},
};
use og_http::{Share, Shares};
use std::{borrow::Cow, future::Future, sync::Arc};
use tokio::{runtime::Handle, sync::oneshot, task::spawn_blocking};

/// Calls of the EVM that run at a time, and those of one client.
const RUNNING: (usize, usize) = (8, 4);
/// Other calls that are worked on at a time, and those of one client: they read the disk and write
/// answers of up to [`super::MAX_RESPONSE_BYTES`].
const READING: (usize, usize) = (16, 8);

/// The turns of all clients.
#[derive(Debug)]
pub(super) struct Turns {
    running: Shares,
    reading: Shares,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            running: Shares::new(RUNNING.0, RUNNING.1),
            reading: Shares::new(READING.0, READING.1),
        }
    }
}

impl Turns {
    async fn take(&self, client: Client, runs: bool) -> Share {
        let turns = if runs { &self.running } else { &self.reading };
        turns.take(client.0).await
    }
}

/// Whether a method runs the EVM, which takes longer than reading.
fn runs(method: &str) -> bool {
    method.starts_with("debug_")
        || matches!(
            method,
            "eth_call" | "eth_estimateGas" | "eth_createAccessList" | "eth_simulateV1"
        )
}

/// The JSON-RPC service, one turn a request or batch.
#[derive(Clone, Debug)]
pub(super) struct InTurn<S> {
    pub(super) service: S,
    pub(super) turns: Arc<Turns>,
}

impl<S> RpcServiceT for InTurn<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse, BatchResponse = MethodResponse>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { service, turns } = self.clone();
        let request = owned(request);
        async move {
            let client = Client::of(request.extensions());
            let turn = turns.take(client, runs(request.method_name())).await;
            let id = request.id();
            let answer = apart(turn, async move { service.call(request).await }).await;
            answer.unwrap_or_else(|| failed(id))
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { service, turns } = self.clone();
        let mut batch = owned_batch(batch);
        async move {
            let client = Client::of(batch.extensions());
            let runs = batch
                .iter()
                .flatten()
                .any(|entry| runs(entry.method_name()));
            let turn = turns.take(client, runs).await;
            let answer = apart(turn, async move { service.batch(batch).await }).await;
            answer.unwrap_or_else(|| failed(Id::Null))
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.service.notification(notification)
    }
}

/// Works in a thread of its own while it is its `turn`: to run the EVM, to read blocks and to write
/// millions of bytes as JSON would keep the threads busy that serve everybody. Stops when nobody
/// waits for the answer any more, if it waits itself; `None` if the work panicked.
async fn apart<T: Send + 'static>(
    turn: Share,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (_wanted, unwanted) = oneshot::channel::<()>();
    let handle = Handle::current();
    let working = spawn_blocking(move || {
        let _turn = turn;
        // Not by the runtime, which would forbid the work to wait for anything within.
        let _entered = handle.enter();
        block_on(async {
            tokio::select! {
                // First, so that nothing is begun for nobody, nor while the process ends.
                biased;
                _ = unwanted => None,
                done = work => Some(done),
            }
        })
    });
    working.await.ok().flatten()
}

fn failed(id: Id<'_>) -> MethodResponse {
    MethodResponse::error(id, ErrorCode::InternalError)
}

fn owned(request: Request<'_>) -> Request<'static> {
    Request {
        jsonrpc: request.jsonrpc,
        id: request.id.into_owned(),
        method: Cow::Owned(request.method.into_owned()),
        params: request.params.map(|given| Cow::Owned(given.into_owned())),
        extensions: request.extensions,
    }
}

fn owned_batch(batch: Batch<'_>) -> Batch<'static> {
    let entries = batch.into_iter().map(|entry| match entry {
        Ok(BatchEntry::Call(call)) => Ok(BatchEntry::Call(owned(call))),
        Ok(BatchEntry::Notification(notification)) => Ok(BatchEntry::Notification(Notification {
            jsonrpc: notification.jsonrpc,
            method: Cow::Owned(notification.method.into_owned()),
            params: notification
                .params
                .map(|given| Cow::Owned(given.into_owned())),
            extensions: notification.extensions,
        })),
        Err(error) => {
            let (error, id) = error.into_parts();
            Err(BatchEntryErr::new(id.into_owned(), error.into_owned()))
        }
    });
    Batch::from(entries.collect())
}
