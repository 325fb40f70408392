//! Filters that clients made: a bounded number, forgotten when nobody asks for them.

use crate::{error::server, server::Client};
use alloy_primitives::{B256, U128};
use alloy_rpc_types_eth::Filter;
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{self, error::TryRecvError};

/// Most filters at a time; the one that was asked least recently makes way.
const MAX_FILTERS: usize = 1_024;
/// Most filters of one client; its own make way then, so nobody's do for the filters of one other.
const MAX_FILTERS_OF_CLIENT: usize = MAX_FILTERS / 2;
/// How long a filter lives that nobody asks.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a filter tells of.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Logs.
    Logs(Box<Filter>),
    /// Hashes of blocks.
    Blocks,
    /// Transactions that enter the mempool.
    Transactions(Transactions),
}

/// Transactions that a filter has not told of.
#[derive(Clone, Debug)]
pub(super) struct Transactions {
    hashes: Arc<Mutex<broadcast::Receiver<B256>>>,
    /// Whether they are told in full.
    pub(super) full: bool,
}

impl Transactions {
    pub(super) fn new(hashes: broadcast::Receiver<B256>, full: bool) -> Self {
        let hashes = Arc::new(Mutex::new(hashes));
        Self { hashes, full }
    }

    /// The next one. A filter that is asked too rarely misses the oldest: thousands are kept, for
    /// all filters together.
    pub(super) fn next(&self) -> Option<B256> {
        // It is valid after a panic: a receiver is changed by one call.
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match hashes.try_recv() {
                Ok(hash) => return Some(hash),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

#[derive(Clone, Debug)]
struct One {
    kind: Kind,
    owner: Client,
    /// The first block that it has not told of.
    next: u64,
    asked: Instant,
}

/// The filters of one server.
#[derive(Debug, Default)]
pub(super) struct Filters(Mutex<BTreeMap<U128, One>>);

impl Filters {
    /// A new filter of what comes from block `next` on; its name, which nobody else can guess.
    pub(super) fn add(&self, kind: Kind, owner: Client, next: u64, now: Instant) -> U128 {
        let mut filters = self.filters();
        filters.retain(|_, one| now.duration_since(one.asked) < LIFETIME);
        let of_owner = |one: &One| one.owner == owner;
        if filters.values().filter(|one| of_owner(one)).count() >= MAX_FILTERS_OF_CLIENT {
            forget_oldest(&mut filters, of_owner);
        }
        if filters.len() >= MAX_FILTERS {
            forget_oldest(&mut filters, |_| true);
        }
        let id = U128::from(rand::random::<u128>());
        let one = One {
            kind,
            owner,
            next,
            asked: now,
        };
        filters.insert(id, one);
        id
    }

    /// What a filter is, and the first block that it has not told of.
    pub(super) fn get(&self, id: &U128, now: Instant) -> RpcResult<(Kind, u64)> {
        let mut filters = self.filters();
        let one = find(&mut filters, id)?;
        one.asked = now;
        Ok((one.kind.clone(), one.next))
    }

    /// Notes that a filter has told of all blocks up to `head`.
    pub(super) fn told(&self, id: &U128, head: u64) {
        if let Ok(one) = find(&mut self.filters(), id) {
            one.next = one.next.max(head.saturating_add(1));
        }
    }

    /// Forgets a filter; whether there was one.
    pub(super) fn remove(&self, id: &U128) -> bool {
        self.filters().remove(id).is_some()
    }

    /// They are valid after a panic: each change is one call.
    fn filters(&self) -> MutexGuard<'_, BTreeMap<U128, One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'a>(
    filters: &'a mut BTreeMap<U128, One>,
    id: &U128,
) -> Result<&'a mut One, ErrorObjectOwned> {
    // The words that clients look for.
    filters
        .get_mut(id)
        .ok_or_else(|| server("filter not found"))
}

/// Forgets which of some filters was asked least recently.
fn forget_oldest(filters: &mut BTreeMap<U128, One>, of: impl Fn(&One) -> bool) {
    let among = filters.iter().filter(|(_, one)| of(one));
    let oldest = among.min_by_key(|(_, one)| one.asked).map(|(id, _)| *id);
    if let Some(id) = oldest {
        filters.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn client(last: u8) -> Client {
        Client(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn filters_tell_once_and_are_forgotten() {
        let (filters, start) = (Filters::default(), Instant::now());
        let id = filters.add(Kind::Blocks, client(1), 5, start);
        let next = || filters.get(&id, start).unwrap().1;
        assert_eq!(next(), 5);
        filters.told(&id, 7);
        assert_eq!(next(), 8);
        // A reader of an older head takes nothing back.
        filters.told(&id, 6);
        assert_eq!(next(), 8);
        let later = start + LIFETIME;
        filters.add(Kind::Blocks, client(1), 9, later);
        assert!(filters.get(&id, later).is_err());
        assert!(!filters.remove(&id));
    }

    #[test]
    fn whoever_makes_many_filters_loses_its_own() {
        let (filters, start) = (Filters::default(), Instant::now());
        let mine = filters.add(Kind::Blocks, client(1), 5, start);
        let second = Duration::from_secs(1);
        let first = filters.add(Kind::Blocks, client(2), 5, start + second);
        for _ in 0..2 * MAX_FILTERS {
            filters.add(Kind::Blocks, client(2), 5, start + 2 * second);
        }
        assert!(filters.get(&mine, start).is_ok());
        assert!(filters.get(&first, start).is_err());
        for other in 3..10 {
            for _ in 0..MAX_FILTERS_OF_CLIENT {
                filters.add(Kind::Blocks, client(other), 5, start + 3 * second);
            }
        }
        assert!(filters.filters().len() <= MAX_FILTERS);
    }

    #[test]
    fn a_filter_of_transactions_misses_the_oldest_if_it_is_not_asked() {
        let hashes = broadcast::Sender::new(4);
        let filter = Transactions::new(hashes.subscribe(), false);
        for last in 0..10 {
            hashes.send(B256::with_last_byte(last)).unwrap();
        }
        let told: Vec<_> = std::iter::from_fn(|| filter.next()).collect();
        let newest: Vec<_> = (6..10).map(B256::with_last_byte).collect();
        assert_eq!(told, newest);
    }
}
