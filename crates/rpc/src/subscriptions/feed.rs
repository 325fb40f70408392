//! What is new in a block, read and written as JSON once for all who are told of it.

use super::CutOff;
use crate::{
    chain::Chain,
    error::internal,
    index::{Index, IndexError},
    views,
};
use alloy_rpc_types_eth::Log as LogJson;
use og_chain::Rules;
use serde_json::value::RawValue;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OnceCell, Semaphore, watch};

/// Newest blocks that are kept for those who are about to be told.
const KEPT: u64 = 8;
/// Blocks that a subscriber may be behind. Thousands of headers fit the buffers between it and us
/// before it is behind at all.
const MAX_BEHIND: u64 = 256;
/// Subscribers that read older blocks than those that are kept, at a time.
const MAX_CATCHING_UP: usize = 2;

/// What subscribers are told of one block.
#[derive(Debug)]
pub(super) struct News {
    /// The header, as clients get it.
    pub(super) header: Box<RawValue>,
    /// All logs, in order.
    pub(super) logs: Vec<LogJson>,
}

/// The news of the block at a height, once somebody has asked for them.
type Kept = (u64, Arc<OnceCell<Arc<News>>>);

/// The newest blocks' news; each is made when the first subscriber asks.
pub(super) struct Feed<C> {
    chain: Arc<C>,
    kept: Mutex<VecDeque<Kept>>,
    catching_up: Semaphore,
}

impl<C: Chain> Feed<C> {
    pub(super) fn new(chain: Arc<C>) -> Self {
        Self {
            chain,
            kept: Mutex::default(),
            catching_up: Semaphore::new(MAX_CATCHING_UP),
        }
    }

    pub(super) const fn chain(&self) -> &Arc<C> {
        &self.chain
    }

    /// The news of the block at `height`, where `newest` is that of the newest.
    async fn news(&self, height: u64, newest: u64) -> Result<Arc<News>, CutOff> {
        if newest - height >= KEPT {
            // The semaphore is never closed; without a permit the reading would be unbounded.
            let _permit = self.catching_up.acquire().await;
            return self.read(height).await;
        }
        let cell = self.cell(height);
        cell.get_or_try_init(|| self.read(height)).await.cloned()
    }

    /// The place of a block's news.
    fn cell(&self, height: u64) -> Arc<OnceCell<Arc<News>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = kept.iter().find(|(one, _)| *one == height) {
            return cell.clone();
        }
        while kept.len() as u64 >= KEPT {
            kept.pop_front();
        }
        let cell = Arc::default();
        kept.push_back((height, Arc::clone(&cell)));
        cell
    }

    async fn read(&self, height: u64) -> Result<Arc<News>, CutOff> {
        let (index, rules) = (self.chain.index().clone(), self.chain.rules().clone());
        let read = tokio::task::spawn_blocking(move || news(&index, &rules, height)).await;
        let news = match read {
            Ok(Ok(news)) => news,
            Ok(Err(IndexError::Pruned { .. })) => None,
            Ok(Err(error)) => return Err(failed(&error)),
            Err(error) => return Err(failed(&error)),
        };
        news.map(Arc::new).ok_or(CutOff(
            "too slow, or this node has skipped blocks: subscribe again and ask for logs of the blocks between",
        ))
    }
}

fn failed(error: &dyn std::error::Error) -> CutOff {
    // It goes to the log.
    let _ = internal(error);
    CutOff("the node failed; its log says why")
}

fn news(index: &Index, rules: &Rules, height: u64) -> Result<Option<News>, IndexError> {
    let Some(block) = index.block(height)? else {
        return Ok(None);
    };
    let receipts = index.receipts(height)?;
    let header = views::header(rules, &block, &receipts);
    // What has been made of a block can be written as JSON.
    let Ok(header) = serde_json::value::to_raw_value(&header) else {
        return Ok(None);
    };
    let logs = views::block_logs(&block, &receipts);
    Ok(Some(News { header, logs }))
}

/// The blocks that become final, in order.
pub(super) struct Blocks<C> {
    feed: Arc<Feed<C>>,
    heights: watch::Receiver<u64>,
    next: u64,
}

impl<C: Chain> Blocks<C> {
    /// Those after the one at `height`.
    pub(super) fn after(feed: Arc<Feed<C>>, height: u64) -> Self {
        let heights = feed.chain.heights();
        let next = height.saturating_add(1);
        Self {
            feed,
            heights,
            next,
        }
    }

    /// What is new in the next one, when it is final.
    pub(super) async fn next(&mut self) -> Result<Arc<News>, CutOff> {
        let next = self.next;
        let newest = match self.heights.wait_for(|height| *height >= next).await {
            Ok(newest) => *newest,
            Err(_) => return Err(CutOff("the node is shutting down")),
        };
        if newest - next > MAX_BEHIND {
            return Err(CutOff(
                "too slow: more blocks have become final than are kept for a subscriber",
            ));
        }
        let news = self.feed.news(next, newest).await?;
        self.next += 1;
        Ok(news)
    }
}
