//! Sharing a client's requests out over connections of HTTP/2, each of which carries only so many at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests that one connection carries at once: what common servers allow.
pub const REQUESTS_PER_LANE: usize = 100;

/// Connections to one server by number, counted from 0, and how many requests each carries.
#[derive(Debug)]
pub struct Lanes(Vec<AtomicUsize>);

/// A request's place on a connection, until it is dropped.
#[derive(Debug)]
pub struct Lane<'a> {
    lanes: &'a Lanes,
    number: usize,
}

impl Lanes {
    /// As many connections as so many requests at once need, and at least one.
    pub fn for_requests(most: usize) -> Self {
        let count = most.div_ceil(REQUESTS_PER_LANE).max(1);
        Self((0..count).map(|_| AtomicUsize::new(0)).collect())
    }

    /// Number of connections.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// A place on the first connection that has room, so that few are open. If none has, the last takes the request all the
    /// same: it waits there.
    pub fn take(&self) -> Lane<'_> {
        let has_room = |requests: usize| (requests < REQUESTS_PER_LANE).then_some(requests + 1);
        let free = self.0.iter().position(|lane| {
            let taken = lane.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room);
            taken.is_ok()
        });
        let number = free.unwrap_or_else(|| {
            let last = self.0.len().saturating_sub(1);
            self.0[last].fetch_add(1, Ordering::Relaxed);
            last
        });
        Lane {
            lanes: self,
            number,
        }
    }
}

impl Lane<'_> {
    /// The connection's number.
    pub const fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.lanes.0[self.number].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_never_carries_more_than_it_may_while_another_has_room() {
        let lanes = Lanes::for_requests(3 * REQUESTS_PER_LANE);
        assert_eq!(lanes.count(), 3);
        let mut first: Vec<_> = (0..REQUESTS_PER_LANE).map(|_| lanes.take()).collect();
        let second: Vec<_> = (0..REQUESTS_PER_LANE - 1).map(|_| lanes.take()).collect();
        assert!(first.iter().all(|lane| lane.number() == 0));
        assert!(second.iter().all(|lane| lane.number() == 1));
        // Room on the first is used again, and only then the rest.
        first.truncate(REQUESTS_PER_LANE - 1);
        let more: Vec<_> = (0..3).map(|_| lanes.take()).collect();
        let numbers: Vec<_> = more.iter().map(Lane::number).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }

    #[test]
    fn where_all_are_full_the_last_takes_more() {
        let lanes = Lanes::for_requests(0);
        let taken: Vec<_> = (0..=REQUESTS_PER_LANE).map(|_| lanes.take()).collect();
        assert!(taken.iter().all(|lane| lane.number() == 0));
        drop(taken);
        assert_eq!(lanes.0[0].load(Ordering::Relaxed), 0);
    }
}
