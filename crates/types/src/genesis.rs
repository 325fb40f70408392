//! Where a chain begins: the file that every node and every verifier starts from.

use crate::{
    cbor::{Canonical, DecodeError, Field, Writer},
    ids::{BlockHash, ValidatorId},
    limits::{MAX_CODE_BYTES, MAX_GENESIS_ACCOUNTS, MAX_GENESIS_SLOTS, MAX_VALIDATORS},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use minicbor::Decoder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One validator's seat: one key, one equal vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// Ed25519 key that names the seat and authenticates its connections.
    pub id: ValidatorId,
    /// BLS12-381 public key (96 bytes, G2) with which it votes.
    pub consensus_key: Bytes,
    /// Proof that the seat holds the consensus key's secret (48 bytes, G1).
    pub proof_of_possession: Bytes,
    /// Who receives the priority fees of the blocks it proposes.
    pub fee_recipient: Address,
}

canonical_struct!(GenesisValidator, max_bytes = 512, {
    id,
    consensus_key <= 96,
    proof_of_possession <= 48,
    fee_recipient,
});

/// An account that exists from the first block on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Balance in the token's smallest unit.
    #[serde(default)]
    pub balance: U256,
    /// Contract code, empty for an account that a key controls.
    #[serde(default)]
    pub code: Bytes,
    /// Contract storage.
    #[serde(default)]
    pub storage: BTreeMap<B256, B256>,
}

/// A chain's beginning and its fixed parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Format version, 1.
    pub version: u16,
    /// A name for people.
    pub network: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Time of block 0, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Blocks per epoch; the set of validators can change only between epochs.
    pub epoch_length: u64,
    /// Most gas per block.
    pub gas_limit: u64,
    /// Base fee per gas of the first block.
    pub base_fee_per_gas: u64,
    /// Seats of the first epoch, sorted by id.
    pub validators: Vec<GenesisValidator>,
    /// Accounts of the first block.
    pub alloc: BTreeMap<Address, GenesisAccount>,
}

/// An account with its address, as the canonical encoding lists it.
struct AllocEntry {
    address: Address,
    account: GenesisAccount,
}

struct Slot {
    key: B256,
    value: B256,
}

canonical_struct!(Slot, max_bytes = 70, { key, value });

impl Field for AllocEntry {
    fn write_field(&self, writer: &mut Writer) {
        crate::cbor::write_array(writer, 4);
        self.address.write_field(writer);
        self.account.balance.write_field(writer);
        self.account.code.write_field(writer);
        let slots: Vec<Slot> = self
            .account
            .storage
            .iter()
            .map(|(key, value)| Slot {
                key: *key,
                value: *value,
            })
            .collect();
        slots.write_field(writer);
    }
    fn read_field(decoder: &mut Decoder<'_>, _: usize) -> Result<Self, DecodeError> {
        crate::cbor::read_array(decoder, 4)?;
        let address = Address::read_field(decoder, 0)?;
        let balance = U256::read_field(decoder, 0)?;
        let code = Bytes::read_field(decoder, MAX_CODE_BYTES)?;
        let slots = Vec::<Slot>::read_field(decoder, MAX_GENESIS_SLOTS)?;
        Ok(Self {
            address,
            account: GenesisAccount {
                balance,
                code,
                storage: slots
                    .into_iter()
                    .map(|slot| (slot.key, slot.value))
                    .collect(),
            },
        })
    }
}

/// The canonical form exists so that a genesis file has one hash; on disk it is JSON.
impl Canonical for Genesis {
    const MAX_BYTES: usize = 256 * 1024 * 1024;

    fn write(&self, writer: &mut Writer) {
        crate::cbor::write_array(writer, 9);
        self.version.write_field(writer);
        self.network.write_field(writer);
        self.chain_id.write_field(writer);
        self.timestamp_ms.write_field(writer);
        self.epoch_length.write_field(writer);
        self.gas_limit.write_field(writer);
        self.base_fee_per_gas.write_field(writer);
        self.validators.write_field(writer);
        let alloc: Vec<AllocEntry> = self
            .alloc
            .iter()
            .map(|(address, account)| AllocEntry {
                address: *address,
                account: account.clone(),
            })
            .collect();
        alloc.write_field(writer);
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        crate::cbor::read_array(decoder, 9)?;
        Ok(Self {
            version: u16::read_field(decoder, 0).map_err(|error| error.within("version"))?,
            network: String::read_field(decoder, 128).map_err(|error| error.within("network"))?,
            chain_id: u64::read_field(decoder, 0).map_err(|error| error.within("chain_id"))?,
            timestamp_ms: u64::read_field(decoder, 0)
                .map_err(|error| error.within("timestamp_ms"))?,
            epoch_length: u64::read_field(decoder, 0)
                .map_err(|error| error.within("epoch_length"))?,
            gas_limit: u64::read_field(decoder, 0).map_err(|error| error.within("gas_limit"))?,
            base_fee_per_gas: u64::read_field(decoder, 0)
                .map_err(|error| error.within("base_fee_per_gas"))?,
            validators: Vec::read_field(decoder, MAX_VALIDATORS)
                .map_err(|error| error.within("validators"))?,
            alloc: Vec::<AllocEntry>::read_field(decoder, MAX_GENESIS_ACCOUNTS)
                .map_err(|error| error.within("alloc"))?
                .into_iter()
                .map(|entry| (entry.address, entry.account))
                .collect(),
        })
    }
}

/// A block that its holder trusts, from which later receipts can be judged without the genesis file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Format version, 1.
    pub version: u16,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of the chain's genesis file.
    pub genesis: B256,
    /// Height of the trusted block.
    pub height: u64,
    /// Hash of the trusted block.
    pub block: BlockHash,
    /// Time of the trusted block, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Epoch of the trusted block.
    pub epoch: u64,
    /// Seats of that epoch.
    pub validators: Vec<GenesisValidator>,
}
