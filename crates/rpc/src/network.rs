//! The `og_` methods: records in, proofs out, and how the validator is doing.

use crate::{
    chain::{Chain, ProvenView},
    error::{CODE_UNCERTIFIED, internal, invalid, record_error, with_code},
    eth::{head, indexed},
    index::{Finality, Index, PlacedRecord, RecordLookup, RecordProof, RecordProofs},
};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
    types::ErrorObjectOwned,
};
use og_chain::Key;
use og_types::{
    Account, BlockHash, Canonical as _, Header, RequestId, SignedRecord, StateProof,
    limits::{MAX_PROVEN_BLOCKS, MAX_STATE_ENTRIES, MAX_SUBMITTED_RECORDS},
};
use serde::Serialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a certificate is waited for.
const CERTIFICATE_TIMEOUT: Duration = Duration::from_secs(2);
const CERTIFICATE_PAUSE: Duration = Duration::from_millis(10);

/// A proof that a record is final: everything of a receipt that does not come from its node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordProofJson {
    /// Canonical bytes of the [`SignedRecord`].
    pub(crate) record: Bytes,
    /// Canonical bytes of the path to the header.
    pub(crate) inclusion: Bytes,
    /// Canonical bytes of the header of the block that admitted the record.
    pub(crate) header: Bytes,
    /// Canonical bytes of the headers after it, up to the one that the certificate names.
    pub(crate) descendants: Vec<Bytes>,
    /// The finality certificate.
    pub(crate) finalization: Bytes,
}

/// Proofs that records are final. What they have in common is there once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RecordProofsJson {
    /// Blocks that have such records, at most [`MAX_PROVEN_BLOCKS`].
    pub(crate) blocks: Vec<FinalBlockJson>,
    /// For each request, in order: `null` if no final block that is kept has its record.
    pub(crate) records: Vec<Option<PlacedRecordJson>>,
}

/// A block and what makes it final.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FinalBlockJson {
    /// Canonical bytes of the block's header.
    pub(crate) header: Bytes,
    /// Canonical bytes of the headers after it, up to the one that the certificate names.
    pub(crate) descendants: Vec<Bytes>,
    /// The finality certificate.
    pub(crate) finalization: Bytes,
}

/// A record that is in a final block.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlacedRecordJson {
    /// The block's height.
    pub(crate) height: U64,
    /// `null` if the block's certificate has not arrived yet, or the answer has as many blocks as it may: ask again.
    pub(crate) proof: Option<PlacedProofJson>,
}

/// The proof that a record is in one of the blocks of the same answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlacedProofJson {
    /// Which of the blocks, counted from 0.
    pub(crate) block: usize,
    /// Canonical bytes of the [`SignedRecord`].
    pub(crate) record: Bytes,
    /// Canonical bytes of the path to the block's header.
    pub(crate) inclusion: Bytes,
}

/// What an account and some of its storage hold, with the proof.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StateProofJson {
    /// Height of the block after which it was so.
    pub(crate) height: U64,
    /// That block's hash.
    pub(crate) block_hash: BlockHash,
    /// The account's balance.
    pub(crate) balance: U256,
    /// The account's nonce.
    pub(crate) nonce: U64,
    /// keccak256 of the account's code.
    pub(crate) code_hash: B256,
    /// The slots that were asked for.
    pub(crate) storage: Vec<StorageJson>,
    /// Canonical bytes of the [`StateProof`]: all of the above, for whoever trusts nobody.
    pub(crate) proof: Bytes,
}

/// A slot of a contract's storage.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StorageJson {
    pub(crate) slot: U256,
    pub(crate) value: B256,
}

/// How a validator is doing.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusJson {
    /// EIP-155 chain id.
    pub(crate) chain_id: u64,
    /// Hash of the genesis file.
    pub(crate) genesis_hash: B256,
    /// Height of the newest final block.
    pub(crate) height: u64,
    /// Its hash.
    pub(crate) block_hash: BlockHash,
    /// Height of the oldest block that this validator can be asked about: proofs, receipts and
    /// transactions of older ones are not kept.
    pub(crate) oldest_height: u64,
    /// Its time, Unix milliseconds.
    pub(crate) timestamp_ms: u64,
    /// Seats that vote.
    pub(crate) validators: usize,
    /// Validators connected to this one; `null` where that is not known.
    pub(crate) peers: Option<usize>,
    /// Transactions that wait for a block.
    pub(crate) pending_transactions: usize,
    /// Records that wait for a block.
    pub(crate) pending_records: usize,
}

/// The network's own methods.
#[rpc(server)]
pub(crate) trait NetworkApi {
    /// Hands records (canonical bytes) to the mempool: for each, in order, `null` if it is taken, or why it is not.
    #[method(name = "og_submitRecords")]
    async fn submit_records(&self, records: Vec<Bytes>)
    -> RpcResult<Vec<Option<ErrorObjectOwned>>>;

    /// Proof that the record of a request is final; `null` if no final block that is kept has one.
    #[method(name = "og_getRecordProof")]
    async fn record_proof(&self, id: RequestId) -> RpcResult<Option<RecordProofJson>>;

    /// The same for many requests at once, as many as records can be handed in.
    #[method(name = "og_getRecordProofs")]
    async fn record_proofs(&self, ids: Vec<RequestId>) -> RpcResult<RecordProofsJson>;

    /// Proof of what an account and slots of its storage hold after the newest final block that has a certificate.
    #[method(name = "og_getProof")]
    async fn state_proof(
        &self,
        address: Address,
        slots: Option<Vec<U256>>,
    ) -> RpcResult<StateProofJson>;

    /// How the validator is doing.
    #[method(name = "og_status")]
    async fn status(&self) -> RpcResult<StatusJson>;
}

/// Answers the network's methods for one validator.
pub(crate) struct Network<C>(pub(crate) Arc<C>);

#[async_trait]
impl<C: Chain> NetworkApiServer for Network<C> {
    async fn submit_records(
        &self,
        records: Vec<Bytes>,
    ) -> RpcResult<Vec<Option<ErrorObjectOwned>>> {
        check_count(records.len())?;
        let mut decoded = Vec::with_capacity(records.len());
        let mut errors = Vec::with_capacity(records.len());
        for bytes in &records {
            match SignedRecord::from_bytes(bytes) {
                Ok(signed) => {
                    decoded.push(signed);
                    errors.push(None);
                }
                Err(error) => errors.push(Some(invalid(format!("record: {error}")))),
            }
        }
        let submitted = self.0.submit_records(decoded).await;
        let submitted = submitted.map_err(|error| internal(&error))?;
        let handed_in = errors.iter_mut().filter(|error| error.is_none());
        for (error, result) in handed_in.zip(submitted) {
            *error = result.err().map(record_error);
        }
        Ok(errors)
    }

    async fn record_proof(&self, id: RequestId) -> RpcResult<Option<RecordProofJson>> {
        let lookup = indexed(&*self.0, move |index| index.record_proof(&id)).await?;
        match lookup {
            RecordLookup::Unknown => Ok(None),
            RecordLookup::Uncertified => Err(with_code(
                CODE_UNCERTIFIED,
                "the record is final, but its certificate has not arrived yet: ask again",
            )),
            RecordLookup::Final(proof) => Ok(Some(proof_json(&proof))),
        }
    }

    async fn record_proofs(&self, ids: Vec<RequestId>) -> RpcResult<RecordProofsJson> {
        check_count(ids.len())?;
        // In one go: to switch threads for each costs more than its proof.
        let prove = move |index: &Index| {
            let proofs = index.record_proofs(&ids, MAX_PROVEN_BLOCKS)?;
            Ok(proofs_json(&proofs))
        };
        indexed(&*self.0, prove).await
    }

    async fn state_proof(
        &self,
        address: Address,
        slots: Option<Vec<U256>>,
    ) -> RpcResult<StateProofJson> {
        let slots = slots.unwrap_or_default();
        if slots.len() >= MAX_STATE_ENTRIES {
            return Err(invalid(format!(
                "{} slots: at most {} in one proof",
                slots.len(),
                MAX_STATE_ENTRIES - 1
            )));
        }
        let mut keys = vec![Key::account(address)];
        keys.extend(slots.iter().map(|slot| Key::storage(address, *slot)));
        let proven = self.0.prove(keys).await.map_err(|e| internal(&e))?;
        let finality = self.certified(proven.header.height).await?;
        state_proof_json(proven, finality, &slots)
    }

    async fn status(&self) -> RpcResult<StatusJson> {
        let head = head(&*self.0).await?;
        let oldest = indexed(&*self.0, Index::oldest).await?;
        let mempool = self.0.mempool_size();
        let rules = self.0.rules();
        Ok(StatusJson {
            chain_id: rules.chain_id(),
            genesis_hash: rules.genesis_hash(),
            height: head.header().height,
            block_hash: head.hash(),
            oldest_height: oldest.unwrap_or_default(),
            timestamp_ms: head.header().timestamp_ms,
            validators: rules.validators().members().len(),
            peers: self.0.peers(),
            pending_transactions: mempool.transactions,
            pending_records: mempool.records,
        })
    }
}

impl<C: Chain> Network<C> {
    /// What makes the block at `height` final: its certificate comes just after it.
    async fn certified(&self, height: u64) -> RpcResult<Finality> {
        let deadline = Instant::now() + CERTIFICATE_TIMEOUT;
        loop {
            let found = indexed(&*self.0, move |index| index.finality(height)).await?;
            match found {
                Some(finality) => return Ok(finality),
                None if Instant::now() < deadline => tokio::time::sleep(CERTIFICATE_PAUSE).await,
                None => {
                    return Err(with_code(
                        CODE_UNCERTIFIED,
                        "the newest block's certificate has not arrived yet: ask again",
                    ));
                }
            }
        }
    }
}

fn state_proof_json(
    proven: ProvenView,
    finality: Finality,
    slots: &[U256],
) -> RpcResult<StateProofJson> {
    let mut values = proven.entries.iter().map(|entry| entry.value.as_ref());
    let account = Account::from_value(values.next().flatten()).map_err(|e| internal(&e))?;
    let storage = slots.iter().zip(values).map(|(slot, value)| StorageJson {
        slot: *slot,
        value: value.map_or(B256::ZERO, |value| B256::left_padding_from(value)),
    });
    Ok(StateProofJson {
        height: U64::from(proven.header.height),
        block_hash: og_crypto::block_hash(&proven.header),
        balance: account.balance,
        nonce: U64::from(account.nonce),
        code_hash: account.code_hash,
        storage: storage.collect(),
        proof: StateProof {
            version: 1,
            header: proven.header,
            descendants: finality.descendants,
            finalization: finality.finalization,
            entries: proven.entries,
        }
        .to_bytes()
        .into(),
    })
}

/// Bounds the records that one call is about.
fn check_count(records: usize) -> RpcResult<()> {
    if records <= MAX_SUBMITTED_RECORDS {
        return Ok(());
    }
    Err(invalid(format!(
        "{records} records: at most {MAX_SUBMITTED_RECORDS} in one call"
    )))
}

fn proof_json(proof: &RecordProof) -> RecordProofJson {
    RecordProofJson {
        record: proof.record.to_bytes().into(),
        inclusion: proof.inclusion.to_bytes().into(),
        header: proof.header.to_bytes().into(),
        descendants: headers_json(&proof.descendants),
        finalization: proof.finalization.clone(),
    }
}

fn proofs_json(proofs: &RecordProofs) -> RecordProofsJson {
    let blocks = proofs
        .blocks
        .iter()
        .map(|(header, finality)| FinalBlockJson {
            header: header.to_bytes().into(),
            descendants: headers_json(&finality.descendants),
            finalization: finality.finalization.clone(),
        });
    let records = proofs.records.iter();
    RecordProofsJson {
        blocks: blocks.collect(),
        records: records
            .map(|record| Some(placed_json(record.as_ref()?)))
            .collect(),
    }
}

fn placed_json(placed: &PlacedRecord) -> PlacedRecordJson {
    PlacedRecordJson {
        height: U64::from(placed.height),
        proof: placed.proof.as_ref().map(|proof| PlacedProofJson {
            block: proof.block,
            record: proof.record.to_bytes().into(),
            inclusion: proof.inclusion.to_bytes().into(),
        }),
    }
}

fn headers_json(headers: &[Header]) -> Vec<Bytes> {
    let headers = headers.iter();
    headers.map(|header| header.to_bytes().into()).collect()
}
