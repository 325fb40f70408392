//! The gateways that are known: read from the registry again and again, and when somebody asks for
//! one that is not among them.

use crate::{
    config::{MAX_GATEWAYS, REFRESH_INTERVAL, SHORTEST_REFRESH_INTERVAL, STALE_AFTER},
    gateway::Gateway,
    registry::Registry,
    rows::TEEInfo,
};
use alloy_primitives::B256;
use og_opengradient::hash;
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tracing::warn;

/// Why there is no such gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FindError {
    /// The registry has no active gateway of this name that takes sealed requests.
    Unknown,
    /// The registry could not be read for too long.
    Stale,
}

type Gateways = BTreeMap<B256, Arc<Gateway>>;

/// Gateways by name.
#[derive(Debug)]
pub(crate) struct Directory {
    registry: Registry,
    known: RwLock<Known>,
    /// When the registry was last asked. Held while it is, so that one asks and others wait.
    asked_at: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    gateways: Gateways,
    read_at: Option<Instant>,
}

impl Directory {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry,
            known: RwLock::default(),
            asked_at: Mutex::default(),
        }
    }

    /// The gateway of this name.
    pub(crate) async fn find(&self, tee_id: B256) -> Result<Arc<Gateway>, FindError> {
        if let Ok(gateway) = self.look_up(tee_id) {
            return Ok(gateway);
        }
        // It may have come a moment ago.
        self.refresh().await;
        self.look_up(tee_id)
    }

    fn look_up(&self, tee_id: B256) -> Result<Arc<Gateway>, FindError> {
        if self.age().is_none_or(|age| age > STALE_AFTER) {
            return Err(FindError::Stale);
        }
        let known = self.known.read();
        known
            .gateways
            .get(&tee_id)
            .cloned()
            .ok_or(FindError::Unknown)
    }

    /// How long ago the registry was read, if it ever was.
    pub(crate) fn age(&self) -> Option<Duration> {
        let known = self.known.read();
        known.read_at.map(|read_at| read_at.elapsed())
    }

    /// How many gateways are known.
    pub(crate) fn count(&self) -> usize {
        let known = self.known.read();
        known.gateways.len()
    }

    /// Reads the registry at intervals, for ever: soon again while that fails, as it does while a
    /// chain begins.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            self.refresh().await;
            let is_fresh = self.age().is_some_and(|age| age < REFRESH_INTERVAL);
            sleep(match is_fresh {
                true => REFRESH_INTERVAL,
                false => SHORTEST_REFRESH_INTERVAL,
            })
            .await;
        }
    }

    /// Reads the registry, unless that was done just now.
    async fn refresh(&self) {
        let mut asked_at = self.asked_at.lock().await;
        if asked_at.is_some_and(|at| at.elapsed() < SHORTEST_REFRESH_INTERVAL) {
            return;
        }
        let rows = self.registry.read().await;
        *asked_at = Some(Instant::now());
        let Some(rows) = rows else {
            return;
        };
        let gateways = self.gateways(&rows);
        let mut known = self.known.write();
        known.gateways = gateways;
        known.read_at = Some(Instant::now());
    }

    /// The gateways of these rows; those that did not change keep their connections.
    fn gateways(&self, rows: &[TEEInfo]) -> Gateways {
        let known = self.known.read();
        let mut gateways = Gateways::new();
        for row in rows.iter().take(MAX_GATEWAYS) {
            let tee_id = hash::tee_id(&row.publicKey);
            let kept = known.gateways.get(&tee_id).filter(|old| old.is_of(row));
            let gateway = match kept {
                Some(kept) => Ok(Arc::clone(kept)),
                None => Gateway::new(row).map(Arc::new),
            };
            match gateway {
                Ok(gateway) => drop(gateways.insert(tee_id, gateway)),
                Err(error) => warn!(%tee_id, %error, "a row of the registry cannot be used"),
            }
        }
        gateways
    }
}
