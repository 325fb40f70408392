//! What a subscription tells of, one thing after the other.

use super::{
    CutOff,
    feed::{Blocks, News},
};
use crate::{chain::Chain, pool::waited, views};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log as LogJson};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{future::pending, sync::Arc};
use tokio::sync::broadcast::{self, error::RecvError};

/// Where the news of a subscription come from.
pub(super) enum Source<C> {
    /// Headers of blocks.
    Heads(Blocks<C>),
    /// Logs.
    Logs(Logs<C>),
    /// Transactions that enter the mempool, in full or by their hashes.
    Transactions {
        chain: Arc<C>,
        hashes: broadcast::Receiver<B256>,
        full: bool,
    },
    /// Whether the node is catching up: it answers only from final blocks, so it never is.
    Syncing { told: bool },
}

/// Logs that match a filter.
pub(super) struct Logs<C> {
    blocks: Blocks<C>,
    filter: Box<Filter>,
    /// The block that is being told of, and the position of its first log that is not.
    current: Option<(Arc<News>, usize)>,
}

impl<C: Chain> Source<C> {
    pub(super) fn logs(blocks: Blocks<C>, filter: Filter) -> Self {
        Self::Logs(Logs {
            blocks,
            filter: Box::new(filter),
            current: None,
        })
    }

    /// The next thing to tell, when there is one.
    pub(super) async fn next(&mut self) -> Result<Box<RawValue>, CutOff> {
        match self {
            Self::Heads(blocks) => Ok(blocks.next().await?.header.clone()),
            Self::Logs(logs) => logs.next().await,
            Self::Transactions {
                chain,
                hashes,
                full,
            } => transaction(&**chain, hashes, *full).await,
            Self::Syncing { told: true } => pending().await,
            Self::Syncing { told } => {
                *told = true;
                json(&false)
            }
        }
    }
}

impl<C: Chain> Logs<C> {
    async fn next(&mut self) -> Result<Box<RawValue>, CutOff> {
        loop {
            if let Some((news, position)) = &mut self.current {
                let mut rest = news.logs.iter().enumerate().skip(*position);
                if let Some((found, log)) = rest.find(|(_, log)| matches(&self.filter, log)) {
                    *position = found + 1;
                    return json(log);
                }
            }
            self.current = Some((self.blocks.next().await?, 0));
        }
    }
}

fn matches(filter: &Filter, log: &LogJson) -> bool {
    filter.matches_address(log.address()) && filter.matches_topics(log.topics())
}

/// The next transaction that can be told of.
async fn transaction<C: Chain>(
    chain: &C,
    hashes: &mut broadcast::Receiver<B256>,
    full: bool,
) -> Result<Box<RawValue>, CutOff> {
    loop {
        let hash = match hashes.recv().await {
            Ok(hash) => hash,
            Err(RecvError::Lagged(_)) => {
                return Err(CutOff(
                    "too slow: more transactions have come than are kept for a subscriber",
                ));
            }
            Err(RecvError::Closed) => return Err(CutOff("the node is shutting down")),
        };
        if !full {
            return json(&hash);
        }
        // One that has been evicted meanwhile is told of no more.
        if let Some(transaction) = waited(chain, hash).await {
            return json(&views::pending(&transaction));
        }
    }
}

fn json(value: &impl Serialize) -> Result<Box<RawValue>, CutOff> {
    // Our own values can be written as JSON.
    to_raw_value(value).map_err(|_| CutOff("the node failed"))
}
