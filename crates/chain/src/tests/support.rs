//! A chain in a map, with funded accounts, four validators and one inference node.

use crate::{
    Attempt, Block, BlockError, Built, Cache, CallError, CallOutcome, CallRequest, Candidates,
    Executed, Key, Rules, Simulation, Slot, Source, StateCommitment, Transaction, Value,
    VerifiedRecord, Writes, build, execute,
    registry::{REGISTRY, predeploy},
    state::Account,
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use og_crypto::{ConsensusKey, NodeKey, SeatKey, validators::genesis_validator};
use og_types::{
    Amount, Computed, Genesis, GenesisAccount, Header, ModelId, Record, RequestId, SignedRecord,
    Tier,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

pub(crate) const CHAIN_ID: u64 = 88_211;
pub(crate) const GENESIS_MS: u64 = 1_800_000_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const PAYEE: Address = address!("0x00000000000000000000000000000000000000aa");
pub(crate) const FEE_RECIPIENT: Address = address!("0x00000000000000000000000000000000000000fe");
pub(crate) const MODEL: ModelId = ModelId([7; 32]);
pub(crate) const ACCOUNTS: u8 = 4;

static RULES: LazyLock<Arc<Rules>> = LazyLock::new(|| Arc::new(Rules::new(genesis()).unwrap()));

pub(crate) fn signer(index: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(index + 1)).unwrap()
}

pub(crate) fn node() -> NodeKey {
    NodeKey::from_seed([9; 32])
}

pub(crate) fn genesis() -> Genesis {
    let mut validators: Vec<_> = (0..4u8)
        .map(|index| {
            let mut rng = ChaCha20Rng::from_seed([index; 32]);
            let consensus = ConsensusKey::random(&mut rng);
            genesis_validator(&SeatKey::from_seed([index; 32]), &consensus, FEE_RECIPIENT)
        })
        .collect();
    validators.sort_by_key(|validator| validator.id);
    let funded = GenesisAccount {
        balance: U256::from(10u64).pow(U256::from(21)),
        ..GenesisAccount::default()
    };
    let mut alloc: BTreeMap<_, _> = (0..ACCOUNTS)
        .map(|index| (signer(index).address(), funded.clone()))
        .collect();
    alloc.insert(
        REGISTRY,
        predeploy(&[(node().id(), PAYEE)], &[MODEL], PAYEE),
    );
    Genesis {
        version: 1,
        network: "test".to_owned(),
        chain_id: CHAIN_ID,
        timestamp_ms: GENESIS_MS,
        epoch_length: 100,
        gas_limit: 30_000_000,
        base_fee_per_gas: 1_000_000_000,
        validators,
        alloc,
    }
}

pub(crate) fn rules() -> Arc<Rules> {
    Arc::clone(&RULES)
}

/// A signed transaction of any type.
pub(crate) fn sign<T>(from: u8, transaction: T) -> Bytes
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = signer(from)
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    TxEnvelope::from(transaction.into_signed(signature))
        .encoded_2718()
        .into()
}

pub(crate) fn eip1559(nonce: u64, to: TxKind, value: u128, input: Bytes) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 1_000_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to,
        value: U256::from(value),
        access_list: Default::default(),
        input,
    }
}

pub(crate) fn transfer(from: u8, nonce: u64, to: Address, value: u128) -> Transaction {
    decode(&sign(
        from,
        eip1559(nonce, TxKind::Call(to), value, Bytes::new()),
    ))
}

pub(crate) fn send(from: u8, nonce: u64, to: Address, input: impl Into<Bytes>) -> Transaction {
    decode(&sign(
        from,
        eip1559(nonce, TxKind::Call(to), 0, input.into()),
    ))
}

/// Creates a contract with this runtime code.
pub(crate) fn create(from: u8, nonce: u64, runtime: &[u8]) -> Transaction {
    let creation = creation_code(runtime).into();
    decode(&sign(from, eip1559(nonce, TxKind::Create, 0, creation)))
}

/// Code that returns this runtime code.
pub(crate) fn creation_code(runtime: &[u8]) -> Vec<u8> {
    let length = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    // PUSH2 length, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN
    let mut creation = vec![
        0x61, length[0], length[1], 0x80, 0x60, 10, 0x5f, 0x39, 0x5f, 0xf3,
    ];
    creation.extend(runtime);
    creation
}

pub(crate) fn decode(raw: &Bytes) -> Transaction {
    Transaction::decode(raw, CHAIN_ID).unwrap()
}

/// A record that is admissible at `time_ms`, before signing.
pub(crate) fn record(request: u64, time_ms: u64) -> Record {
    Record {
        version: 1,
        chain_id: CHAIN_ID,
        request_id: RequestId(keccak256(request.to_be_bytes()).0),
        payer: Address::ZERO,
        payee: PAYEE,
        price: Amount(0),
        model: MODEL,
        tier: Tier::Signed,
        computed: Computed::Float,
        valid_from_ms: time_ms,
        valid_until_ms: time_ms + 60_000,
        input_commitment: B256::repeat_byte(1),
        output_commitment: B256::repeat_byte(2),
        seed: 0,
        input_units: 64,
        output_units: 10,
        started_at_ms: time_ms - 20,
        finished_at_ms: time_ms - 10,
        node: node().id(),
        evidence: None,
    }
}

pub(crate) fn sign_record(record: Record) -> SignedRecord {
    node().sign(&rules().genesis_hash(), record)
}

/// A chain whose state is a map.
pub(crate) struct TestChain {
    pub(crate) rules: Arc<Rules>,
    pub(crate) state: BTreeMap<Key, Value>,
    pub(crate) head: Block,
    /// Times that a computation came back for keys.
    pub(crate) misses: usize,
}

impl TestChain {
    /// Height 0: the state is empty.
    pub(crate) fn new() -> Self {
        Self::of(rules())
    }

    /// Height 0 of the chain with these rules.
    pub(crate) fn of(rules: Arc<Rules>) -> Self {
        let head = rules.genesis_block(&commitment(&BTreeMap::new()));
        Self {
            rules,
            state: BTreeMap::new(),
            head,
            misses: 0,
        }
    }

    /// Height 1: the accounts of the genesis file exist.
    pub(crate) fn started() -> Self {
        let mut chain = Self::new();
        chain.advance(Candidates::default());
        chain
    }

    pub(crate) fn parent(&self) -> &Header {
        self.head.header()
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot_at(self.parent().timestamp_ms + 1000)
    }

    pub(crate) fn slot_at(&self, timestamp_ms: u64) -> Slot {
        let parent = self.parent();
        let epoch = self.rules.epoch_of(parent.height + 1);
        let parent_view = if parent.epoch == epoch {
            parent.view
        } else {
            0
        };
        let seats = self.rules.validators().members();
        Slot {
            epoch,
            view: parent_view + 1,
            parent_view,
            proposer: seats[parent.height as usize % seats.len()].id,
            timestamp_ms,
        }
    }

    /// Runs `attempt` until it needs nothing more, fetching only what it asks for.
    fn converge<T, E>(
        &mut self,
        mut attempt: impl FnMut(&Rules, &Header, &Cache) -> Result<Attempt<T>, E>,
    ) -> Result<T, E> {
        let mut cache = Cache::default();
        loop {
            match attempt(&self.rules, self.head.header(), &cache)? {
                Attempt::Done(done) => return Ok(done),
                Attempt::Missing(keys) => {
                    assert!(!keys.is_empty(), "missing nothing never converges");
                    assert!(
                        keys.iter().all(|key| cache.read(key).is_none()),
                        "a key that was fetched is missing again"
                    );
                    self.misses += 1;
                    for key in keys {
                        cache.insert(key, self.state.get(&key).cloned());
                    }
                }
            }
        }
    }

    pub(crate) fn build(&mut self, slot: &Slot, candidates: &Candidates) -> Built {
        self.converge(|rules, parent, cache| build(rules, parent, slot, candidates, cache))
            .unwrap()
    }

    pub(crate) fn execute(&mut self, block: &Block) -> Result<Executed, BlockError> {
        self.converge(|rules, parent, cache| execute(rules, parent, block, cache))
    }

    pub(crate) fn call(&mut self, request: &CallRequest) -> CallOutcome {
        self.try_call(request).unwrap()
    }

    pub(crate) fn try_call(&self, request: &CallRequest) -> Result<CallOutcome, CallError> {
        let mut simulation = Simulation::after(&self.rules, self.parent(), &self.state);
        let ran = request.run(&mut simulation)?;
        assert_eq!(simulation.missing(), None);
        Ok(ran.result.into())
    }

    /// Builds a block, checks that executing it does the same, and appends it.
    pub(crate) fn advance(&mut self, candidates: Candidates) -> Executed {
        let slot = self.slot();
        self.advance_at(&slot, candidates)
    }

    pub(crate) fn advance_at(&mut self, slot: &Slot, candidates: Candidates) -> Executed {
        let built = self.build(slot, &candidates);
        let block = self.seal(slot, built.clone());
        let executed = self.execute(&block).unwrap();
        assert_eq!(built.executed, executed);
        let before = std::mem::take(&mut self.state);
        self.state = apply(&before, &executed.changes.writes);
        assert_eq!(apply(&self.state, &executed.changes.before), before);
        self.head = block;
        executed
    }

    /// The block of `built`, through its bytes as a peer would see it.
    pub(crate) fn seal(&self, slot: &Slot, built: Built) -> Block {
        let after = apply(&self.state, &built.executed.changes.writes);
        let (block, _) = built.into_block(&self.rules, self.parent(), slot, &commitment(&after));
        Block::from_bytes(block.bytes()).unwrap()
    }

    /// A block with exactly this body, whose header's claims are those of `built`.
    pub(crate) fn block_of(
        &mut self,
        transactions: Vec<Bytes>,
        records: Vec<SignedRecord>,
    ) -> Block {
        let slot = self.slot();
        let empty = self.build(&slot, &Candidates::default());
        let block = self.seal(&slot, empty);
        Block::new(block.header().clone(), transactions, records)
    }

    pub(crate) fn account(&self, address: Address) -> Account {
        Account::from_value(self.state.get(&Key::account(address))).unwrap()
    }

    pub(crate) fn storage(&self, address: Address, slot: u64) -> U256 {
        self.state
            .get(&Key::storage(address, U256::from(slot)))
            .map_or(U256::ZERO, |bytes| U256::from_be_slice(bytes))
    }
}

/// A whole state.
impl Source for BTreeMap<Key, Value> {
    fn read(&self, key: &Key) -> Option<Option<Value>> {
        Some(self.get(key).cloned())
    }
}

/// The state after some writes, which must be sorted, each key once, and change something.
pub(crate) fn apply(state: &BTreeMap<Key, Value>, writes: &Writes) -> BTreeMap<Key, Value> {
    assert!(writes.is_sorted_by(|(left, _), (right, _)| left < right));
    let mut state = state.clone();
    for (key, value) in writes {
        let before = match value {
            Some(value) => state.insert(*key, value.clone()),
            None => state.remove(key),
        };
        assert_ne!(
            before.as_ref(),
            value.as_ref(),
            "a write that changes nothing"
        );
    }
    state
}

/// Stands for the database's root: any function of the whole state does.
pub(crate) fn commitment(state: &BTreeMap<Key, Value>) -> StateCommitment {
    let mut bytes = Vec::new();
    for (key, value) in state {
        bytes.extend(key.0);
        bytes.extend(keccak256(value));
    }
    StateCommitment {
        root: keccak256(&bytes),
        operations_size: state.len() as u64,
        ..StateCommitment::default()
    }
}

pub(crate) fn transactions(transactions: impl Into<Vec<Transaction>>) -> Candidates {
    Candidates {
        transactions: transactions.into(),
        records: Vec::new(),
    }
}

pub(crate) fn records(records: impl Into<Vec<SignedRecord>>) -> Candidates {
    Candidates {
        transactions: Vec::new(),
        records: verified(records.into()),
    }
}

/// Records as if their signatures had been checked.
pub(crate) fn verified(records: Vec<SignedRecord>) -> Vec<VerifiedRecord> {
    records.into_iter().map(VerifiedRecord).collect()
}
