//! Validators in networks of their own that are cut apart and joined again.

use super::{
    cluster::{Cluster, QUIET, VALIDATORS, long, system},
    support::one_network,
};
use std::thread;

/// The bridge between the validators, and its address, from which the test asks them.
const BRIDGE: &str = "ogtest";
const BRIDGE_ADDRESS: &str = "10.213.77.254/24";
/// Another bridge, which joins the validators on it to each other and to nobody else.
const ASIDE: &str = "ogtestaside";

fn ip(arguments: &str) -> bool {
    system("ip", &arguments.split(' ').collect::<Vec<_>>())
}

/// A network namespace for each validator, joined by a bridge. Everything goes when dropped.
struct Networks;

impl Networks {
    /// `None` where this process may not make them.
    fn create() -> Option<Self> {
        let networks = Self;
        networks.remove();
        if !ip(&format!("link add {BRIDGE} type bridge")) {
            eprintln!("skipped: network namespaces take root and iproute2");
            return None;
        }
        let made = ip(&format!("addr add {BRIDGE_ADDRESS} dev {BRIDGE}"))
            && ip(&format!("link set {BRIDGE} up"))
            && ip(&format!("link add {ASIDE} type bridge"))
            && ip(&format!("link set {ASIDE} up"))
            && (0..VALIDATORS.len()).all(Self::add);
        if !made {
            eprintln!("skipped: network namespaces cannot be set up here");
        }
        made.then_some(networks)
    }

    fn add(index: usize) -> bool {
        let name = format!("{BRIDGE}{index}");
        let address = format!("{}/24", Self::address(index));
        [
            format!("netns add {name}"),
            format!("link add {name} type veth peer name eth0 netns {name}"),
            format!("link set {name} master {BRIDGE} up"),
            format!("-n {name} addr add {address} dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
        ]
        .iter()
        .all(|command| ip(command))
    }

    fn address(index: usize) -> String {
        format!("10.213.77.{}", index + 1)
    }

    /// Cuts a validator off from all others, or joins it again.
    fn set(&self, index: usize, joined: bool) {
        let state = if joined { "up" } else { "down" };
        assert!(ip(&format!("link set {BRIDGE}{index} {state}")));
    }

    /// Puts a validator on one of the bridges.
    fn join(&self, index: usize, bridge: &str) {
        assert!(ip(&format!("link set {BRIDGE}{index} master {bridge}")));
    }

    fn remove(&self) {
        for index in 0..VALIDATORS.len() {
            ip(&format!("netns del {BRIDGE}{index}"));
            ip(&format!("link del {BRIDGE}{index}"));
        }
        ip(&format!("link del {BRIDGE}"));
        ip(&format!("link del {ASIDE}"));
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.remove();
    }
}

#[test]
fn validators_that_are_cut_apart_never_fork_and_go_on_when_joined() {
    let _one = one_network();
    let Some(networks) = Networks::create() else {
        return;
    };
    let hosts: Vec<_> = (0..VALIDATORS.len()).map(Networks::address).collect();
    let mut cluster = Cluster::unstarted(&hosts.join(","));
    for (index, name) in VALIDATORS.into_iter().enumerate() {
        let wrapper = format!("ip netns exec {BRIDGE}{index}");
        let words = wrapper.split(' ').map(str::to_owned).collect();
        cluster.wrappers.insert(name.to_owned(), words);
        cluster.start_node(name);
    }
    for name in VALIDATORS {
        cluster.wait_listening(name);
        cluster.wait_height(name, 3);
    }

    // One alone: the others go on, it does not.
    networks.set(3, false);
    let height = cluster.height("validator-0");
    cluster.wait_height("validator-0", height + 3);
    networks.set(3, true);
    let height = cluster.height("validator-0");
    cluster.agree(&VALIDATORS, height);

    // Two here and two there: neither side has a quorum.
    networks.join(2, ASIDE);
    networks.join(3, ASIDE);
    thread::sleep(QUIET);
    let halted = cluster.height("validator-0");
    thread::sleep(if long() { QUIET * 10 } else { QUIET });
    assert_eq!(cluster.height("validator-0"), halted);
    assert_eq!(cluster.height("validator-1"), halted);
    networks.join(2, BRIDGE);
    networks.join(3, BRIDGE);
    for name in VALIDATORS {
        cluster.wait_height(name, halted + 3);
    }
    cluster.agree(&VALIDATORS, halted);
    cluster.agree(&VALIDATORS, halted + 3);
}
