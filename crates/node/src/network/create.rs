//! How a new network's folder is made: keys, genesis, configurations.

use super::{Account, Endpoints, Network, NetworkError};
use crate::{
    config::{
        DEFAULT_EMPTY_BLOCK_INTERVAL_MS, DEFAULT_FAUCET_OPG, DEFAULT_LEADER_TIMEOUT_MS,
        DEFAULT_LOG, DEFAULT_RETAIN_BLOCKS, DEFAULT_RETAIN_STATES, DEFAULT_RPC_ALLOWED_HOST,
        DEFAULT_STATE_SYNC_BLOCKS, FaucetConfig, GatewayConfig, InferenceConfig, LogFormat,
        NodeConfig, PeerConfig, RelayConfig, ValidatorConfig,
    },
    keys,
};
use alloy_primitives::{Address, B256, U256};
use og_chain::{
    contracts::{GenesisTee, TeeRegistryGenesis, predeploys, tee_registry},
    registry::{REGISTRY, predeploy},
};
use og_crypto::{SeatKey, validators::genesis_validator};
use og_engine::BUILT_IN;
use og_gateway::config::DEFAULT_ADDRESS_LIMITS;
use og_types::{Genesis, GenesisAccount, GenesisValidator, NodeId};
use rand::CryptoRng;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The chain id of a network that names no other.
pub const DEFAULT_CHAIN_ID: u64 = 770_077;
/// Chain ids that a wallet or a client would take for another network: 0 and 1 (Ethereum), Base
/// and its test network, and the networks of OpenGradient.
pub const RESERVED_CHAIN_IDS: [u64; 6] = [0, 1, 8453, 84532, 10740, 10744];
/// Most validators, and most inference nodes, that the port scheme has room for.
pub const MAX_NODES_PER_ROLE: u16 = 100;
/// How long JSON-RPC for development waits for a transaction to be final: many times what it takes
/// while the network is well.
const DEVELOPMENT_PATIENCE_MS: u64 = 1_000;
/// Most funded accounts that are made.
pub const MAX_ACCOUNTS: u16 = 1000;

const P2P_PORT_OFFSET: u16 = 100;
const GATEWAY_PORT_OFFSET: u16 = 200;
const GATEWAY_TLS_PORT_OFFSET: u16 = 250;
const RELAY_PORT_OFFSET: u16 = 260;
const INFERENCE_PORT_OFFSET: u16 = 300;
/// From the port where a node serves others to the one where it serves its operator.
const OPERATOR_PORT_OFFSET: u16 = 400;
const TOKENS_PER_ACCOUNT: u64 = 10_000;
/// Enough for years of what a faucet's limits allow.
const TOKENS_OF_FAUCET: u64 = 10_000_000_000;
const FAUCET_KEY: &str = "faucet.key";
const IDENTITY_FILE: &str = "identity.key";
const UNITS_PER_TOKEN: u64 = 1_000_000_000_000_000_000;

/// What a new network is to look like.
#[derive(Clone, Debug)]
pub struct NetworkPlan {
    /// A name for people.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Time of block 0, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Blocks per epoch.
    pub epoch_length: u64,
    /// Most gas per block.
    pub gas_limit: u64,
    /// Base fee per gas of the first block, in the token's smallest unit.
    pub base_fee_per_gas: u64,
    /// Number of validators: with 3f + 1 of them, f may fail.
    pub validators: u16,
    /// Number of inference nodes.
    pub inference: u16,
    /// Number of funded accounts for development; each gets 10,000 tokens.
    pub accounts: u16,
    /// First port B: validator i serves JSON-RPC at B+i and peers at B+100+i, the gateway listens
    /// at B+200 and with TLS at B+250, the relay at B+260, inference node j at B+300+j, and each serves its operator
    /// 400 above that.
    pub base_port: u16,
    /// Where the nodes run, in turn; the gateway runs on the first, the relay on the last.
    pub hosts: Vec<IpAddr>,
    /// Whether it is for development: then JSON-RPC answers to any name and to pages of any origin,
    /// and for a transaction when that is final, and the first validator gives tokens to whoever asks.
    pub development: bool,
}

impl Default for NetworkPlan {
    fn default() -> Self {
        Self {
            name: "devnet".to_owned(),
            chain_id: DEFAULT_CHAIN_ID,
            timestamp_ms: 0,
            epoch_length: 10_000,
            gas_limit: 30_000_000,
            base_fee_per_gas: 1_000_000_000,
            validators: 4,
            inference: 1,
            accounts: 10,
            base_port: 8545,
            hosts: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            development: false,
        }
    }
}

/// Validator i of the plan, with what others must know of it.
struct ValidatorSeat {
    key: SeatKey,
    genesis: GenesisValidator,
}

/// Inference node j of the plan, with what the registry must know of it.
struct InferenceSeat {
    id: NodeId,
    payee: Address,
}

impl NetworkPlan {
    fn check(&self) -> Result<(), NetworkError> {
        if RESERVED_CHAIN_IDS.contains(&self.chain_id) {
            return Err(NetworkError::ReservedChainId(self.chain_id));
        }
        if self.hosts.is_empty() {
            return Err(NetworkError::NoHosts);
        }
        let top_port = u16::MAX - INFERENCE_PORT_OFFSET - OPERATOR_PORT_OFFSET - MAX_NODES_PER_ROLE;
        let nodes = u64::from(MAX_NODES_PER_ROLE);
        for (what, value, minimum, maximum) in [
            ("validators", u64::from(self.validators), 1, nodes),
            ("inference nodes", u64::from(self.inference), 1, nodes),
            (
                "accounts",
                u64::from(self.accounts),
                0,
                u64::from(MAX_ACCOUNTS),
            ),
            (
                "base port",
                u64::from(self.base_port),
                1,
                u64::from(top_port),
            ),
            ("epoch length", self.epoch_length, 2, u64::MAX),
        ] {
            if !(minimum..=maximum).contains(&value) {
                return Err(NetworkError::Range {
                    what,
                    value,
                    minimum,
                    maximum,
                });
            }
        }
        Ok(())
    }

    /// Every port that the network listens on.
    pub fn ports(&self) -> Vec<u16> {
        let ports = |offset, count| (0..count).map(move |index| self.base_port + offset + index);
        ports(0, self.validators)
            .chain(ports(P2P_PORT_OFFSET, self.validators))
            .chain(ports(GATEWAY_PORT_OFFSET, 1))
            .chain(ports(GATEWAY_TLS_PORT_OFFSET, 1))
            .chain(ports(RELAY_PORT_OFFSET, 1))
            .chain(ports(INFERENCE_PORT_OFFSET, self.inference))
            .chain(ports(OPERATOR_PORT_OFFSET, self.validators))
            .chain(ports(GATEWAY_PORT_OFFSET + OPERATOR_PORT_OFFSET, 1))
            .chain(ports(RELAY_PORT_OFFSET + OPERATOR_PORT_OFFSET, 1))
            .chain(ports(
                INFERENCE_PORT_OFFSET + OPERATOR_PORT_OFFSET,
                self.inference,
            ))
            .collect()
    }

    /// Address number `index` of a role, at which others reach it.
    fn address(&self, offset: u16, index: u16) -> SocketAddr {
        let host = self.hosts[usize::from(index) % self.hosts.len()];
        SocketAddr::new(host, self.base_port + offset + index)
    }

    /// Where others reach the relay: not where the gateway is, if there is another host.
    fn relay_address(&self) -> SocketAddr {
        let last = self.hosts.last().copied();
        let host = last.unwrap_or_else(|| Ipv4Addr::LOCALHOST.into());
        SocketAddr::new(host, self.base_port + RELAY_PORT_OFFSET)
    }

    /// Where to listen for `address`: a host among several may not hold its public address itself.
    fn listen(address: SocketAddr) -> SocketAddr {
        match address.ip() {
            ip if ip.is_loopback() => address,
            IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
            IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port()),
        }
    }

    /// Where node number `index` of a role serves its operator: on its own host only.
    fn operator_listen(&self, offset: u16, index: u16) -> SocketAddr {
        let port = self.base_port + OPERATOR_PORT_OFFSET + offset + index;
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
    }

    /// Every node's name, and where it serves its operator.
    fn operator_urls(&self) -> BTreeMap<String, String> {
        let validators = (0..self.validators).map(|index| (format!("validator-{index}"), 0, index));
        let inference = (0..self.inference)
            .map(|index| (format!("inference-{index}"), INFERENCE_PORT_OFFSET, index));
        validators
            .chain(inference)
            .chain([("gateway".to_owned(), GATEWAY_PORT_OFFSET, 0)])
            .chain([("relay".to_owned(), RELAY_PORT_OFFSET, 0)])
            .map(|(name, offset, index)| {
                (
                    name,
                    format!("http://{}", self.operator_listen(offset, index)),
                )
            })
            .collect()
    }

    fn url(&self, offset: u16, index: u16) -> String {
        format!("http://{}", self.address(offset, index))
    }

    fn rpc_urls(&self) -> Vec<String> {
        (0..self.validators)
            .map(|index| self.url(0, index))
            .collect()
    }

    fn inference_urls(&self) -> Vec<String> {
        (0..self.inference)
            .map(|index| self.url(INFERENCE_PORT_OFFSET, index))
            .collect()
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints {
            chain_id: self.chain_id,
            rpc: self.url(0, 0),
            rpcs: self.rpc_urls(),
            gateway: self.url(GATEWAY_PORT_OFFSET, 0),
            relay: Some(format!("http://{}", self.relay_address())),
            faucet: self
                .development
                .then(|| format!("{}/faucet", self.url(0, 0))),
            inference: self.inference_urls(),
            operators: self.operator_urls(),
        }
    }
}

impl Network {
    /// Makes the network of `plan` in `directory`, which must be empty or not exist yet. Either
    /// the whole folder appears or nothing does.
    ///
    /// # Errors
    /// [`NetworkError`] if the plan cannot work, the folder is not empty or cannot be written.
    pub fn create(
        directory: &Path,
        plan: &NetworkPlan,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, NetworkError> {
        plan.check()?;
        if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(NetworkError::NotEmpty(directory.to_owned()));
        }
        let mut unfinished = directory.as_os_str().to_owned();
        unfinished.push(format!(".unfinished-{}", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let made = Builder {
            directory: &unfinished,
            plan,
        }
        .build(rng)
        .and_then(|()| {
            fs::rename(&unfinished, directory).map_err(|source| write_error(directory, source))
        });
        if let Err(error) = made {
            // What failed is reported; that cleaning up failed too would only hide it.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(error);
        }
        Self::open(directory)
    }
}

/// Fills a new folder with a plan's network.
struct Builder<'a> {
    directory: &'a Path,
    plan: &'a NetworkPlan,
}

impl Builder<'_> {
    fn build(&self, rng: &mut impl CryptoRng) -> Result<(), NetworkError> {
        self.folder("logs")?;
        let mut seats = Vec::new();
        for index in 0..self.plan.validators {
            seats.push(self.validator_keys(index, rng)?);
        }
        let faucet = match self.plan.development {
            true => {
                let path = self.directory.join("validator-0").join(FAUCET_KEY);
                Some(keys::create_account_key(&path, rng)?)
            }
            false => None,
        };
        for index in 0..self.plan.validators {
            self.validator_config(index, &seats)?;
        }
        let mut nodes = Vec::new();
        for index in 0..self.plan.inference {
            nodes.push(self.inference(index, rng)?);
        }
        let tee = self.gateway(&nodes, rng)?;
        self.relay()?;
        let accounts = self.accounts(rng);
        self.json_secret("accounts.json", &accounts)?;
        self.json("endpoints.json", &self.plan.endpoints())?;
        let funded = accounts
            .iter()
            .map(|account| (account.address, TOKENS_PER_ACCOUNT))
            .chain(faucet.map(|address| (address, TOKENS_OF_FAUCET)));
        self.json("genesis.json", &self.genesis(&seats, &nodes, tee, funded)?)
    }

    fn validator_keys(
        &self,
        index: u16,
        rng: &mut impl CryptoRng,
    ) -> Result<ValidatorSeat, NetworkError> {
        let folder = self.folder(&format!("validator-{index}"))?;
        let key = keys::create_seat_key(&folder.join("seat.key"), rng)?;
        let consensus = keys::create_consensus_key(&folder.join("consensus.key"), rng)?;
        let fee_recipient = keys::create_account_key(&folder.join("account.key"), rng)?;
        Ok(ValidatorSeat {
            genesis: genesis_validator(&key, &consensus, fee_recipient),
            key,
        })
    }

    fn validator_config(&self, index: u16, seats: &[ValidatorSeat]) -> Result<(), NetworkError> {
        let p2p = |index| self.plan.address(P2P_PORT_OFFSET, index);
        let peers = (0..self.plan.validators)
            .zip(seats)
            .filter(|(other, _)| *other != index)
            .map(|(other, seat)| PeerConfig {
                id: seat.key.id(),
                address: p2p(other),
            })
            .collect();
        let any = self.plan.development.then_some("*");
        let patience_ms = if self.plan.development {
            DEVELOPMENT_PATIENCE_MS
        } else {
            0
        };
        let config = ValidatorConfig {
            genesis: "../genesis.json".into(),
            data_dir: "data".into(),
            seat_key: "seat.key".into(),
            consensus_key: "consensus.key".into(),
            p2p_listen: NetworkPlan::listen(p2p(index)),
            rpc_listen: NetworkPlan::listen(self.plan.address(0, index)),
            rpc_allowed_hosts: vec![any.unwrap_or(DEFAULT_RPC_ALLOWED_HOST).to_owned()],
            rpc_allowed_origins: any.map(str::to_owned).into_iter().collect(),
            rpc_trusted_proxies: Vec::new(),
            rpc_answer_when_final_ms: patience_ms,
            peers,
            empty_block_interval_ms: DEFAULT_EMPTY_BLOCK_INTERVAL_MS,
            leader_timeout_ms: DEFAULT_LEADER_TIMEOUT_MS,
            operator_listen: self.plan.operator_listen(0, index),
            retain_blocks: DEFAULT_RETAIN_BLOCKS,
            retain_states: DEFAULT_RETAIN_STATES,
            archive: false,
            state_sync_blocks: DEFAULT_STATE_SYNC_BLOCKS,
            log: DEFAULT_LOG.to_owned(),
            log_format: LogFormat::default(),
            faucet: (self.plan.development && index == 0).then(|| FaucetConfig {
                key: FAUCET_KEY.into(),
                opg: DEFAULT_FAUCET_OPG,
            }),
        };
        self.config(
            &format!("validator-{index}"),
            &NodeConfig::Validator(config),
        )
    }

    fn inference(
        &self,
        index: u16,
        rng: &mut impl CryptoRng,
    ) -> Result<InferenceSeat, NetworkError> {
        let name = format!("inference-{index}");
        let folder = self.folder(&name)?;
        let id = keys::create_node_key(&folder.join("node.key"), rng)?.id();
        let payee = keys::create_account_key(&folder.join("account.key"), rng)?;
        self.folder(&format!("{name}/models"))?;
        let config = InferenceConfig {
            genesis: "../genesis.json".into(),
            data_dir: "data".into(),
            models_dir: "models".into(),
            node_key: "node.key".into(),
            upstream_keys: BTreeMap::new(),
            upstream_authorities: None,
            payee,
            listen: NetworkPlan::listen(self.plan.address(INFERENCE_PORT_OFFSET, index)),
            operator_listen: self.plan.operator_listen(INFERENCE_PORT_OFFSET, index),
            log: DEFAULT_LOG.to_owned(),
            log_format: LogFormat::default(),
        };
        self.config(&name, &NodeConfig::Inference(config))?;
        Ok(InferenceSeat { id, payee })
    }

    /// The gateway, and what OpenGradient's clients find of it in the registry.
    fn gateway(
        &self,
        nodes: &[InferenceSeat],
        rng: &mut impl CryptoRng,
    ) -> Result<GenesisTee, NetworkError> {
        let folder = self.folder("gateway")?;
        let address = self.plan.address(GATEWAY_TLS_PORT_OFFSET, 0);
        let path = folder.join(IDENTITY_FILE);
        let identity = keys::create_gateway_identity(&path, address.ip().to_string(), rng)?;
        let config = GatewayConfig {
            genesis: "../genesis.json".into(),
            data_dir: "data".into(),
            listen: NetworkPlan::listen(self.plan.address(GATEWAY_PORT_OFFSET, 0)),
            tls_listen: Some(NetworkPlan::listen(address)),
            identity: Some(IDENTITY_FILE.into()),
            keys: None,
            address_limits: DEFAULT_ADDRESS_LIMITS,
            trusted_proxies: Vec::new(),
            nodes: self.plan.inference_urls(),
            rpc: self.plan.rpc_urls(),
            operator_listen: self.plan.operator_listen(GATEWAY_PORT_OFFSET, 0),
            log: DEFAULT_LOG.to_owned(),
            log_format: LogFormat::default(),
        };
        self.config("gateway", &NodeConfig::Gateway(config))?;
        let payee = nodes.first().map_or(Address::ZERO, |node| node.payee);
        Ok(GenesisTee {
            owner: payee,
            payment_address: payee,
            endpoint: format!("https://{address}"),
            public_key: identity.signing.public_key().to_vec(),
            tls_certificate: identity.tls.certificate().to_vec(),
            ohttp_public_key: B256::from(identity.ohttp.config().public_key),
        })
    }

    fn relay(&self) -> Result<(), NetworkError> {
        self.folder("relay")?;
        let config = RelayConfig {
            genesis: "../genesis.json".into(),
            data_dir: "data".into(),
            listen: NetworkPlan::listen(self.plan.relay_address()),
            rpc: self.plan.rpc_urls(),
            trusted_proxies: Vec::new(),
            operator_listen: self.plan.operator_listen(RELAY_PORT_OFFSET, 0),
            log: DEFAULT_LOG.to_owned(),
            log_format: LogFormat::default(),
        };
        self.config("relay", &NodeConfig::Relay(config))
    }

    fn accounts(&self, rng: &mut impl CryptoRng) -> Vec<Account> {
        (0..self.plan.accounts)
            .map(|_| {
                let (private_key, address) = keys::random_account(rng);
                Account {
                    address,
                    private_key,
                }
            })
            .collect()
    }

    fn genesis(
        &self,
        seats: &[ValidatorSeat],
        nodes: &[InferenceSeat],
        tee: GenesisTee,
        funded: impl Iterator<Item = (Address, u64)>,
    ) -> Result<Genesis, NetworkError> {
        let mut validators: Vec<_> = seats.iter().map(|seat| seat.genesis.clone()).collect();
        validators.sort_by_key(|validator| validator.id);
        let mut alloc: BTreeMap<_, _> = funded
            .map(|(address, tokens)| {
                let account = GenesisAccount {
                    balance: U256::from(tokens) * U256::from(UNITS_PER_TOKEN),
                    ..GenesisAccount::default()
                };
                (address, account)
            })
            .collect();
        let supply = alloc.values().map(|account| account.balance).sum();
        alloc.extend(predeploys(self.plan.chain_id, supply)?);
        let tees = TeeRegistryGenesis {
            // Whoever registers itself brings no evidence: that is for networks for development.
            self_registration: self.plan.development,
            tees: vec![tee],
            ..TeeRegistryGenesis::default()
        };
        alloc.extend([tee_registry(self.plan.chain_id, &tees)?]);
        alloc.insert(REGISTRY, registry(nodes));
        Ok(Genesis {
            version: 1,
            network: self.plan.name.clone(),
            chain_id: self.plan.chain_id,
            timestamp_ms: self.plan.timestamp_ms,
            epoch_length: self.plan.epoch_length,
            gas_limit: self.plan.gas_limit,
            base_fee_per_gas: self.plan.base_fee_per_gas,
            validators,
            alloc,
        })
    }

    fn folder(&self, name: &str) -> Result<PathBuf, NetworkError> {
        let path = self.directory.join(name);
        fs::create_dir_all(&path).map_err(|source| write_error(&path, source))?;
        Ok(path)
    }

    fn config(&self, node: &str, config: &NodeConfig) -> Result<(), NetworkError> {
        let path = self.directory.join(node).join("config.toml");
        let text =
            toml::to_string(config).map_err(|error| write_error(&path, io::Error::other(error)))?;
        fs::write(&path, text).map_err(|source| write_error(&path, source))
    }

    fn json(&self, name: &str, value: &impl Serialize) -> Result<(), NetworkError> {
        let path = self.directory.join(name);
        fs::write(&path, to_json(&path, value)?).map_err(|source| write_error(&path, source))
    }

    /// Like [`json`](Self::json), for its owner's eyes only.
    fn json_secret(&self, name: &str, value: &impl Serialize) -> Result<(), NetworkError> {
        let path = self.directory.join(name);
        Ok(keys::write_secret(&path, &to_json(&path, value)?)?)
    }
}

/// The Registry with the network's nodes and the built-in models, which the first node's account owns.
fn registry(nodes: &[InferenceSeat]) -> GenesisAccount {
    let nodes: Vec<_> = nodes.iter().map(|node| (node.id, node.payee)).collect();
    let owner = nodes.first().map_or(Address::ZERO, |(_, payee)| *payee);
    // Every build loads its own models in its tests, so none is missing here.
    let models: Vec<_> = BUILT_IN
        .iter()
        .filter_map(|model| model.id().ok())
        .collect();
    predeploy(&nodes, &models, owner)
}

fn to_json(path: &Path, value: &impl Serialize) -> Result<String, NetworkError> {
    serde_json::to_string_pretty(value).map_err(|source| write_error(path, source.into()))
}

fn write_error(path: &Path, source: io::Error) -> NetworkError {
    NetworkError::Write {
        path: path.to_owned(),
        source,
    }
}
