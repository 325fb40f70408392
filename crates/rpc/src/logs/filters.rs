//! Filters that clients made: a bounded number, forgotten when nobody asks for them.

use crate::error::server;
use alloy_rpc_types_eth::{Filter, FilterId};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Most filters at a time; the one that was asked least recently makes way.
const MAX_FILTERS: usize = 1_024;
/// How long a filter lives that nobody asks.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a filter tells of.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Logs.
    Logs(Box<Filter>),
    /// Hashes of blocks.
    Blocks,
}

#[derive(Clone, Debug)]
struct One {
    kind: Kind,
    /// The first block that it has not told of.
    next: u64,
    asked: Instant,
}

/// The filters of one server.
#[derive(Debug, Default)]
pub(super) struct Filters(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last: u64,
    filters: BTreeMap<u64, One>,
}

impl Known {
    fn forget_old(&mut self, now: Instant) {
        self.filters
            .retain(|_, one| now.duration_since(one.asked) < LIFETIME);
        while self.filters.len() >= MAX_FILTERS {
            let oldest = self.filters.iter().min_by_key(|(_, one)| one.asked);
            let Some(id) = oldest.map(|(id, _)| *id) else {
                return;
            };
            self.filters.remove(&id);
        }
    }
}

impl Filters {
    /// A new filter of what comes from block `next` on; its number.
    pub(super) fn add(&self, kind: Kind, next: u64, now: Instant) -> u64 {
        let mut known = self.known();
        known.forget_old(now);
        known.last += 1;
        let id = known.last;
        let asked = now;
        known.filters.insert(id, One { kind, next, asked });
        id
    }

    /// What a filter is, and the first block that it has not told of.
    pub(super) fn get(&self, id: &FilterId, now: Instant) -> RpcResult<(Kind, u64)> {
        let mut known = self.known();
        let one = known.get(id)?;
        one.asked = now;
        Ok((one.kind.clone(), one.next))
    }

    /// Notes that a filter has told of all blocks up to `head`.
    pub(super) fn told(&self, id: &FilterId, head: u64) {
        if let Ok(one) = self.known().get(id) {
            one.next = one.next.max(head.saturating_add(1));
        }
    }

    /// Forgets a filter; whether there was one.
    pub(super) fn remove(&self, id: &FilterId) -> bool {
        let number = number(id);
        number.is_some_and(|number| self.known().filters.remove(&number).is_some())
    }

    /// They are valid after a panic: each change is one call.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn get(&mut self, id: &FilterId) -> Result<&mut One, ErrorObjectOwned> {
        let found = number(id).and_then(|number| self.filters.get_mut(&number));
        // The words that clients look for.
        found.ok_or_else(|| server("filter not found"))
    }
}

/// A filter's number, as it was given out.
fn number(id: &FilterId) -> Option<u64> {
    match id {
        FilterId::Num(number) => Some(*number),
        FilterId::Str(text) => u64::from_str_radix(text.strip_prefix("0x")?, 16).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_tell_once_and_are_forgotten() {
        let (filters, start) = (Filters::default(), Instant::now());
        let id = filters.add(Kind::Blocks, 5, start);
        let name = FilterId::Str(format!("0x{id:x}"));
        let next = || filters.get(&name, start).unwrap().1;
        assert_eq!(next(), 5);
        filters.told(&name, 7);
        assert_eq!(next(), 8);
        // A reader of an older head takes nothing back.
        filters.told(&name, 6);
        assert_eq!(next(), 8);
        let later = start + LIFETIME;
        filters.add(Kind::Blocks, 9, later);
        assert!(filters.get(&name, later).is_err());
        for _ in 0..2 * MAX_FILTERS {
            filters.add(Kind::Blocks, 9, later);
        }
        assert!(filters.known().filters.len() <= MAX_FILTERS);
        assert!(!filters.remove(&FilterId::Num(1)));
    }
}
