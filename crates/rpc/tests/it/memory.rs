//! A chain in memory: one funded account per signer, one node, one model, blocks on demand.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use og_chain::{
    Account, Attempt, Built, Cache, Candidates, Effects, Key, Mempool, RecordError, Rules, Slot,
    StateCommitment, Transaction, Value, build, fees::next_base_fee, mempool::Included, records,
    registry,
};
use og_crypto::{ConsensusKey, NodeKey, SeatKey, validators::genesis_validator};
use og_rpc::{
    Access, Chain, Index, MempoolSize, ProvenView, ReadError, StateView, SubmitError, Waiting, app,
    index::Retention, server::connections,
};
use og_types::{
    Amount, Computed, Genesis, GenesisAccount, Header, ModelId, Record, RequestId, SignedRecord,
    Tier,
};
use prometheus_client::registry::Registry;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{broadcast, watch};

pub(crate) const CHAIN_ID: u64 = 88_211;
pub(crate) const PAYEE: Address = address!("0x00000000000000000000000000000000000000aa");
pub(crate) const FEE_RECIPIENT: Address = address!("0x00000000000000000000000000000000000000fe");
pub(crate) const MODEL: ModelId = ModelId([7; 32]);
pub(crate) const GWEI: u128 = 1_000_000_000;
const GENESIS_MS: u64 = 1_800_000_000_000;
const BLOCK_MS: u64 = 1_000;

pub(crate) fn signer(index: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(index + 1)).unwrap()
}

pub(crate) fn node() -> NodeKey {
    NodeKey::from_seed([9; 32])
}

fn seat() -> SeatKey {
    SeatKey::from_seed([1; 32])
}

fn genesis() -> Genesis {
    let consensus = ConsensusKey::random(&mut StdRng::seed_from_u64(1));
    let funded = GenesisAccount {
        balance: U256::from(10).pow(U256::from(21)),
        ..GenesisAccount::default()
    };
    let mut alloc: BTreeMap<_, _> = (0..2)
        .map(|index| (signer(index).address(), funded.clone()))
        .collect();
    let predeploy = registry::predeploy(&[(node().id(), PAYEE)], &[MODEL], PAYEE);
    alloc.insert(registry::REGISTRY, predeploy);
    Genesis {
        version: 1,
        network: "test".to_owned(),
        chain_id: CHAIN_ID,
        timestamp_ms: GENESIS_MS,
        epoch_length: 1000,
        gas_limit: 30_000_000,
        base_fee_per_gas: 1_000_000_000,
        validators: vec![genesis_validator(&seat(), &consensus, FEE_RECIPIENT)],
        alloc,
    }
}

/// The chain, shared between a test and the server.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Inner>);

struct Inner {
    rules: Arc<Rules>,
    index: Arc<Index>,
    state: Mutex<BTreeMap<Key, Value>>,
    pool: Mutex<Mempool>,
    heights: watch::Sender<u64>,
    new_transactions: broadcast::Sender<B256>,
    patience: Mutex<Duration>,
    /// Number of coming reads of the state that find a new block there.
    restless: AtomicUsize,
    _directory: tempfile::TempDir,
}

impl Memory {
    /// A chain at height 1, where the genesis file's accounts exist.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let index =
            Index::open(&directory.path().join("index.redb"), Retention::default()).unwrap();
        let rules = Rules::new(genesis()).unwrap();
        let first = rules.genesis_block(&StateCommitment::default());
        index.append(&first, &Effects::default()).unwrap();
        let memory = Self(Arc::new(Inner {
            rules: Arc::new(rules),
            index: Arc::new(index),
            state: Mutex::default(),
            pool: Mutex::default(),
            heights: watch::Sender::default(),
            new_transactions: broadcast::Sender::new(8192),
            patience: Mutex::default(),
            restless: AtomicUsize::new(0),
            _directory: directory,
        }));
        memory.mine();
        memory
    }

    pub(crate) fn head(&self) -> Header {
        self.0.index.head().unwrap().unwrap().header().clone()
    }

    pub(crate) fn index(&self) -> &Index {
        &self.0.index
    }

    /// Makes the chain answer for a transaction when it is final, or after this time.
    pub(crate) fn set_patience(&self, patience: Duration) {
        *self.0.patience.lock().unwrap() = patience;
    }

    /// Makes `count` reads of the state find that another block has become final.
    pub(crate) fn set_restless(&self, count: usize) {
        self.0.restless.store(count, Ordering::SeqCst);
    }

    /// Makes a block of what waits.
    pub(crate) fn mine(&self) {
        let parent = self.head();
        let slot = Slot {
            epoch: 0,
            view: parent.view + 1,
            parent_view: parent.view,
            proposer: seat().id(),
            timestamp_ms: parent.timestamp_ms + BLOCK_MS,
        };
        let mut pool = self.0.pool.lock().unwrap();
        let candidates = pool.candidates(
            next_base_fee(&parent),
            slot.timestamp_ms,
            &Included::default(),
        );
        let built = self.build(&parent, &slot, &candidates);
        let commitment = StateCommitment::default();
        let (block, executed) = built.into_block(&self.0.rules, &parent, &slot, &commitment);
        let (writes, effects) = executed.into_parts();
        let mut state = self.0.state.lock().unwrap();
        for (key, value) in writes {
            match value {
                Some(value) => drop(state.insert(key, value)),
                None => drop(state.remove(&key)),
            }
        }
        drop(state);
        self.0.index.append(&block, &effects).unwrap();
        pool.on_finalized(&block);
        drop(pool);
        self.0.heights.send_replace(block.header().height);
    }

    fn build(&self, parent: &Header, slot: &Slot, candidates: &Candidates) -> Built {
        let mut cache = Cache::default();
        loop {
            match build(&self.0.rules, parent, slot, candidates, &cache).unwrap() {
                Attempt::Done(built) => return built,
                Attempt::Missing(keys) => self.fetch(keys, &mut cache),
            }
        }
    }

    fn fetch(&self, keys: Vec<Key>, cache: &mut Cache) {
        let state = self.0.state.lock().unwrap();
        for key in keys {
            cache.insert(key, state.get(&key).cloned());
        }
    }
}

impl Chain for Memory {
    fn rules(&self) -> &Arc<Rules> {
        &self.0.rules
    }

    fn index(&self) -> &Arc<Index> {
        &self.0.index
    }

    async fn state(&self, keys: Vec<Key>) -> Result<StateView, ReadError> {
        let wake = |left: usize| left.checked_sub(1);
        let restless = &self.0.restless;
        if !keys.is_empty()
            && restless
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, wake)
                .is_ok()
        {
            self.mine();
        }
        let header = self.head();
        let state = self.0.state.lock().unwrap();
        let values = keys.iter().map(|key| state.get(key).cloned()).collect();
        Ok(StateView { header, values })
    }

    async fn prove(&self, _: Vec<Key>) -> Result<ProvenView, ReadError> {
        Err(ReadError("a map proves nothing".to_owned()))
    }

    async fn submit_transaction(&self, raw: Bytes) -> Result<B256, SubmitError> {
        let transaction = Transaction::decode(&raw, CHAIN_ID)?;
        let hash = transaction.hash();
        let key = Key::account(transaction.sender());
        let value = self.0.state.lock().unwrap().get(&key).cloned();
        let account = Account::from_value(value.as_ref()).unwrap();
        let now_ms = self.head().timestamp_ms;
        let mut pool = self.0.pool.lock().unwrap();
        pool.add_transaction(transaction, &account, now_ms)?;
        drop(pool);
        let _ = self.0.new_transactions.send(hash);
        Ok(hash)
    }

    async fn submit_records(
        &self,
        records: Vec<SignedRecord>,
    ) -> Result<Vec<Result<(), SubmitError>>, ReadError> {
        let mut cache = Cache::default();
        let now_ms = self.head().timestamp_ms;
        let checked = loop {
            match records::check_all(&self.0.rules, &records, now_ms, &cache) {
                Attempt::Done(checked) => break checked,
                Attempt::Missing(keys) => self.fetch(keys, &mut cache),
            }
        };
        let mut pool = self.0.pool.lock().unwrap();
        let add = |checked: Result<_, RecordError>| Ok(pool.add_record(checked?)?);
        Ok(checked.into_iter().map(add).collect())
    }

    fn pending_transaction(&self, hash: &B256) -> Option<Transaction> {
        self.0.pool.lock().unwrap().transaction(hash).cloned()
    }

    fn pending_nonce(&self, sender: &Address) -> Option<u64> {
        self.0.pool.lock().unwrap().next_nonce(sender)
    }

    fn submission_patience(&self) -> Duration {
        *self.0.patience.lock().unwrap()
    }

    fn heights(&self) -> watch::Receiver<u64> {
        self.0.heights.subscribe()
    }

    fn new_transactions(&self) -> broadcast::Receiver<B256> {
        self.0.new_transactions.subscribe()
    }

    fn waiting_transactions(&self, sender: Option<&Address>) -> Vec<Waiting> {
        let pool = self.0.pool.lock().unwrap();
        let waiting = pool
            .waiting(sender)
            .map(|(transaction, executable)| Waiting {
                transaction: transaction.clone(),
                executable,
            });
        waiting.collect()
    }

    fn mempool_size(&self) -> MempoolSize {
        let pool = self.0.pool.lock().unwrap();
        MempoolSize {
            transactions: pool.transaction_count(),
            records: pool.record_count(),
        }
    }

    fn peers(&self) -> Option<usize> {
        Some(3)
    }
}

/// A raw transaction with plenty of gas.
pub(crate) fn transaction(
    from: u8,
    nonce: u64,
    to: TxKind,
    value: u128,
    input: Bytes,
) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 1_000_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: u128::from(from) + GWEI,
        to,
        value: U256::from(value),
        access_list: Default::default(),
        input,
    }
}

pub(crate) fn sign(from: u8, transaction: TxEip1559) -> Bytes {
    let hash = transaction.signature_hash();
    let signature = signer(from).sign_hash_sync(&hash).unwrap();
    TxEnvelope::from(transaction.into_signed(signature))
        .encoded_2718()
        .into()
}

pub(crate) fn transfer(from: u8, nonce: u64, to: Address, value: u128) -> Bytes {
    sign(
        from,
        transaction(from, nonce, TxKind::Call(to), value, Bytes::new()),
    )
}

/// A record for this request that is admissible now.
pub(crate) fn record(memory: &Memory, request: u8) -> Record {
    let now_ms = memory.head().timestamp_ms;
    Record {
        version: 1,
        chain_id: CHAIN_ID,
        request_id: RequestId([request; 32]),
        payer: Address::ZERO,
        payee: PAYEE,
        price: Amount(0),
        model: MODEL,
        tier: Tier::Signed,
        computed: Computed::Float,
        valid_from_ms: now_ms,
        valid_until_ms: now_ms + 60_000,
        input_commitment: B256::ZERO,
        output_commitment: B256::ZERO,
        seed: 0,
        input_units: 1,
        output_units: 1,
        started_at_ms: now_ms,
        finished_at_ms: now_ms,
        node: node().id(),
        evidence: None,
    }
}

pub(crate) fn sign_record(memory: &Memory, record: Record) -> SignedRecord {
    node().sign(&memory.0.rules.genesis_hash(), record)
}

/// A client of a server for a chain.
pub(crate) struct Client {
    pub(crate) url: String,
    client: reqwest::Client,
}

impl Client {
    /// Serves `memory` and connects to it.
    pub(crate) async fn start(memory: &Memory) -> Self {
        Self::serve(
            app(
                memory.clone(),
                Access::default(),
                None,
                &mut Registry::default(),
            )
            .unwrap(),
        )
        .await
    }

    /// Serves `app` and connects to it.
    pub(crate) async fn serve(app: axum::Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(og_http::serve(
            listener,
            app,
            og_http::Transport::Http1,
            connections(),
            std::future::pending(),
        ));
        Self {
            url,
            client: reqwest::Client::new(),
        }
    }

    /// Sends any body; the status and the body of the answer.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = self.client.post(&self.url).body(body);
        let request = request.header("content-type", "application/json");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn call(&self, method: &str, parameters: Json) -> Json {
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": parameters});
        let (status, body) = self.post(call.to_string()).await;
        assert_eq!(status, 200, "{body}");
        let answer: Json = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&answer["jsonrpc"], &answer["id"]),
            (&json!("2.0"), &json!(7))
        );
        answer
    }

    /// The result of a call that succeeds.
    pub(crate) async fn ok(&self, method: &str, parameters: Json) -> Json {
        let answer = self.call(method, parameters).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The error of a call that fails: code, message, data.
    pub(crate) async fn error(&self, method: &str, parameters: Json) -> (i64, String, Json) {
        let answer = self.call(method, parameters).await;
        let error = &answer["error"];
        assert!(error.is_object(), "{method}: {answer}");
        let message = error["message"].as_str().unwrap().to_owned();
        (
            error["code"].as_i64().unwrap(),
            message,
            error["data"].clone(),
        )
    }
}
