//! How often a faucet gives: to one address, to one client, and in total.

use alloy_primitives::Address;
use og_http::{Meter, Rate, network};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// For one address.
const ADDRESS: Rate = Rate {
    amount: 1,
    period: Duration::from_secs(60),
};
/// For one client, see [`network`].
const CLIENT: Rate = Rate {
    amount: 10,
    period: Duration::from_secs(60),
};
/// For all together.
const TOTAL: Rate = Rate {
    amount: 50,
    period: Duration::from_secs(10),
};

/// What was given, of each. A request is charged to all three or to none,
/// which is why these are not three separate limiters.
#[derive(Debug)]
pub(super) struct Limits {
    addresses: BTreeMap<Address, Meter>,
    clients: BTreeMap<IpAddr, Meter>,
    total: Meter,
}

impl Limits {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            addresses: BTreeMap::new(),
            clients: BTreeMap::new(),
            total: Meter::new(now),
        }
    }

    /// Who has had too much, and how long until a request may come again; `None` if one may now.
    pub(super) fn wait(
        &self,
        client: IpAddr,
        address: Address,
        now: Instant,
    ) -> Option<(&'static str, Duration)> {
        let unused = Meter::new(now);
        let of_address = self.addresses.get(&address).unwrap_or(&unused);
        let of_client = self.clients.get(&network(client)).unwrap_or(&unused);
        [
            ("this address", of_address.wait(ADDRESS, now)),
            ("your IP address", of_client.wait(CLIENT, now)),
            ("everybody together", self.total.wait(TOTAL, now)),
        ]
        .into_iter()
        .filter(|(_, wait)| !wait.is_zero())
        .max_by_key(|(_, wait)| *wait)
    }

    /// Counts what was given. The maps hold what was given within a minute, and the total rate
    /// bounds that.
    pub(super) fn charge(&mut self, client: IpAddr, address: Address, now: Instant) {
        self.addresses
            .retain(|_, meter| !meter.reset(now).is_zero());
        self.clients.retain(|_, meter| !meter.reset(now).is_zero());
        let unused = Meter::new(now);
        let of_address = self.addresses.entry(address).or_insert(unused);
        of_address.charge(ADDRESS, 1, now);
        let of_client = self.clients.entry(network(client)).or_insert(unused);
        of_client.charge(CLIENT, 1, now);
        self.total.charge(TOTAL, 1, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> IpAddr {
        IpAddr::from((number + 1).to_be_bytes())
    }

    fn address(number: u32) -> Address {
        Address::left_padding_from(&number.to_be_bytes())
    }

    fn whose(limits: &Limits, who: u32, to: u32, now: Instant) -> Option<&'static str> {
        limits
            .wait(client(who), address(to), now)
            .map(|(whose, _)| whose)
    }

    #[test]
    fn an_address_gets_once_a_minute() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        limits.charge(client(0), address(0), start);
        let (whose, wait) = limits.wait(client(1), address(0), start).unwrap();
        assert_eq!((whose, wait), ("this address", Duration::from_secs(60)));
        assert_eq!(limits.wait(client(1), address(0), start + wait), None);
    }

    #[test]
    fn a_client_gets_ten_at_once_and_one_every_six_seconds_then() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        let mut given = 0;
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            while whose(&limits, 0, given, now).is_none() {
                limits.charge(client(0), address(given), now);
                given += 1;
            }
            assert_eq!(whose(&limits, 0, given, now), Some("your IP address"));
            assert_eq!(whose(&limits, 1, given, now), None, "others may");
        }
        assert_eq!(given, 19);
    }

    #[test]
    fn all_together_are_bounded_and_so_is_what_is_remembered() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        let mut given = 0;
        for tenth in 0..6000 {
            let now = start + Duration::from_millis(100) * tenth;
            while whose(&limits, given, given, now).is_none() {
                limits.charge(client(given), address(given), now);
                given += 1;
            }
            assert_eq!(
                whose(&limits, given, given, now),
                Some("everybody together")
            );
            assert!(limits.addresses.len() <= 350 && limits.clients.len() <= 350);
        }
        // Ten minutes at five a second, and fifty at once.
        assert!((3045..=3050).contains(&given), "{given}");
    }

    #[test]
    fn neighbours_in_one_network_of_ipv6_are_one_client() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        let neighbour = |last: u32| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last as u16]);
        for number in 0..10 {
            limits.charge(neighbour(number), address(number), start);
        }
        assert!(limits.wait(neighbour(77), address(77), start).is_some());
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]);
        assert_eq!(limits.wait(elsewhere, address(77), start), None);
    }
}
