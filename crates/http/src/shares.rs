//! Places that clients share: first come, first served, and nobody gets all of them.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places, of which each client has at most some.
///
/// A client is an IPv4 address or an IPv6 network of 64 bits, which is what one subscriber gets.
#[derive(Debug)]
pub struct Shares {
    places: Arc<Semaphore>,
    total: usize,
    most_each: usize,
    clients: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// Places that a client has; dropping it gives them back.
#[derive(Debug)]
pub struct Share {
    _of_client: Option<OwnedSemaphorePermit>,
    _of_all: Free,
}

/// A place that is nobody's yet.
#[derive(Debug)]
pub(crate) struct Free {
    _place: Option<OwnedSemaphorePermit>,
}

impl Shares {
    /// `total` places, at most `most_each` of them for one client.
    pub fn new(total: usize, most_each: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(total)),
            total,
            most_each,
            clients: Mutex::default(),
        }
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.total.saturating_sub(self.places.available_permits())
    }

    /// `count` places for `client`, or `None` if so many are not free or it has its share.
    pub fn try_take(&self, client: IpAddr, count: u32) -> Option<Share> {
        let of_client = self.of(client).try_acquire_many_owned(count).ok()?;
        let of_all = Arc::clone(&self.places)
            .try_acquire_many_owned(count)
            .ok()?;
        Some(Share {
            _of_client: Some(of_client),
            _of_all: Free {
                _place: Some(of_all),
            },
        })
    }

    /// A place for `client`, when there is one. Clients wait in one queue, in which each of them
    /// stands with no more than its share.
    pub async fn take(&self, client: IpAddr) -> Share {
        // The semaphores are never closed.
        let of_client = self.of(client).acquire_owned().await.ok();
        Share {
            _of_client: of_client,
            _of_all: self.free().await,
        }
    }

    /// A place for somebody who is not known yet, when there is one.
    pub(crate) async fn free(&self) -> Free {
        let place = Arc::clone(&self.places).acquire_owned().await;
        Free { _place: place.ok() }
    }

    /// Makes `free` a place of `client`, unless it has its share.
    pub(crate) fn claim(&self, free: Free, client: IpAddr) -> Result<Share, Free> {
        match self.of(client).try_acquire_owned() {
            Ok(of_client) => Ok(Share {
                _of_client: Some(of_client),
                _of_all: free,
            }),
            Err(_) => Err(free),
        }
    }

    /// What `client` may still take.
    fn of(&self, client: IpAddr) -> Arc<Semaphore> {
        let mut clients = self.clients.lock();
        if clients.len() > self.total {
            // Whoever has a place, or waits for one, holds the semaphore too.
            clients.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let semaphore = clients
            .entry(network(client))
            .or_insert_with(|| Arc::new(Semaphore::new(self.most_each)));
        Arc::clone(semaphore)
    }
}

/// Who counts as one client: an IPv4 address, or the first 64 bits of one of IPv6, which are what one
/// subscriber gets.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test]
    async fn nobody_gets_more_than_a_share_and_places_come_back() {
        let shares = Shares::new(4, 2);
        let first = shares.take(client(1)).await;
        let _second = shares.take(client(1)).await;
        assert!(shares.try_take(client(1), 1).is_none());
        let other = shares.try_take(client(2), 2).unwrap();
        assert_eq!(shares.taken(), 4);
        assert!(shares.try_take(client(3), 1).is_none());
        drop((first, other));
        assert!(shares.try_take(client(3), 2).is_some());
        assert!(shares.try_take(client(1), 1).is_some());
    }

    #[tokio::test]
    async fn a_free_place_becomes_that_of_a_client_who_has_fewer_than_its_share() {
        let shares = Shares::new(2, 1);
        let _mine = shares.claim(shares.free().await, client(1)).unwrap();
        let free = shares.claim(shares.free().await, client(1)).unwrap_err();
        assert!(shares.claim(free, client(2)).is_ok());
    }

    #[test]
    fn neighbours_in_one_network_of_ipv6_are_one_client() {
        let shares = Shares::new(4, 1);
        let _one = shares.try_take("2001:db8::1".parse().unwrap(), 1).unwrap();
        assert!(shares.try_take("2001:db8::2".parse().unwrap(), 1).is_none());
        assert!(
            shares
                .try_take("2001:db8:0:1::1".parse().unwrap(), 1)
                .is_some()
        );
        let _four = shares.try_take("10.0.0.1".parse().unwrap(), 1).unwrap();
        assert!(
            shares
                .try_take("::ffff:10.0.0.1".parse().unwrap(), 1)
                .is_none()
        );
    }

    #[test]
    fn clients_that_have_gone_are_forgotten() {
        let shares = Shares::new(8, 4);
        for last in 0..200 {
            drop(shares.try_take(client(last), 1));
        }
        assert!(shares.clients.lock().len() <= 9);
    }
}
