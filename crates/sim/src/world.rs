//! Keys and genesis of a simulated network, all drawn from the seed.

use alloy_primitives::{Address, U256};
use alloy_signer_local::PrivateKeySigner;
use og_chain::{Rules, registry};
use og_crypto::{ConsensusKey, NodeKey, SeatKey, validators::genesis_validator};
use og_types::{Genesis, GenesisAccount, ModelId};
use rand_core::CryptoRng;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Chain id of simulated networks.
pub const CHAIN_ID: u64 = 770_077;
/// Model that is registered.
pub const MODEL: ModelId = ModelId([7; 32]);
/// Payee of the registered inference node.
pub const PAYEE: Address = Address::repeat_byte(0x9a);
/// Blocks per epoch, few enough that a run crosses several epochs.
pub const EPOCH_LENGTH: u64 = 12;
const ACCOUNTS: usize = 4;

/// One validator's secrets.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Names the seat on the network.
    pub key: SeatKey,
    /// Votes.
    pub consensus: ConsensusKey,
}

/// Everything that exists before the first block.
#[derive(Debug)]
pub struct World {
    /// The chain.
    pub rules: Arc<Rules>,
    /// Sorted by id, as in the genesis file.
    pub seats: Vec<Seat>,
    /// The one inference node that is registered.
    pub node: NodeKey,
    /// Clients with money.
    pub accounts: Vec<PrivateKeySigner>,
}

impl World {
    /// A world of `validators` validators at `timestamp_ms`.
    pub fn new(rng: &mut impl CryptoRng, validators: usize, timestamp_ms: u64) -> Self {
        let mut seats: Vec<_> = (0..validators)
            .map(|_| Seat {
                key: SeatKey::random(rng),
                consensus: ConsensusKey::random(rng),
            })
            .collect();
        seats.sort_by_key(|seat| seat.key.id());
        let node = NodeKey::random(rng);
        let accounts: Vec<_> = (0..ACCOUNTS).map(|_| account(rng)).collect();
        let mut alloc: BTreeMap<Address, GenesisAccount> = accounts
            .iter()
            .map(|account| (account.address(), rich()))
            .collect();
        alloc.insert(
            registry::REGISTRY,
            registry::predeploy(&[(node.id(), PAYEE)], &[MODEL], accounts[0].address()),
        );
        let genesis = Genesis {
            version: 1,
            network: "simulation".to_owned(),
            chain_id: CHAIN_ID,
            timestamp_ms,
            epoch_length: EPOCH_LENGTH,
            gas_limit: 30_000_000,
            base_fee_per_gas: 1_000_000_000,
            validators: seats
                .iter()
                .enumerate()
                .map(|(index, seat)| {
                    let recipient = Address::with_last_byte(0xe0 + index as u8);
                    genesis_validator(&seat.key, &seat.consensus, recipient)
                })
                .collect(),
            alloc,
        };
        let rules = Rules::new(genesis).expect("the simulated genesis is valid");
        Self {
            rules: Arc::new(rules),
            seats,
            node,
            accounts,
        }
    }
}

/// Milliseconds since 1970.
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}

fn rich() -> GenesisAccount {
    GenesisAccount {
        balance: U256::from(10).pow(U256::from(24)),
        ..GenesisAccount::default()
    }
}

fn account(rng: &mut impl CryptoRng) -> PrivateKeySigner {
    loop {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        if let Ok(signer) = PrivateKeySigner::from_slice(&secret) {
            return signer;
        }
    }
}
