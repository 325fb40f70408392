//! A block: a header, and the transactions and records that it commits to.

use crate::transaction::{Transaction, TransactionError};
use alloy_primitives::{B256, Bytes};
use og_crypto::{
    block_hash,
    merkle::{ListTree, list_root},
};
use og_types::{
    BlockHash, Canonical, DecodeError, Header, Inclusion, SignedRecord, canonical_struct,
    cbor::read_array,
    limits::{
        MAX_BLOCK_BYTES, MAX_RECORDS_PER_BLOCK, MAX_TRANSACTION_BYTES, MAX_TRANSACTIONS_PER_BLOCK,
    },
};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

/// How many parts a block has.
const PARTS: usize = 3;

/// The parts of a block in the order in which it is encoded.
#[derive(Debug)]
struct Parts {
    header: Header,
    transactions: Vec<Bytes>,
    records: Vec<SignedRecord>,
}

canonical_struct!(Parts, max_bytes = MAX_BLOCK_BYTES, {
    header,
    transactions <= MAX_TRANSACTIONS_PER_BLOCK,
    records <= MAX_RECORDS_PER_BLOCK,
});

/// A block whose body is what its header commits to. Immutable; a clone shares the memory.
#[derive(Clone, Debug)]
pub struct Block(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    bytes: Bytes,
    hash: BlockHash,
    records_tree: ListTree,
    /// Decoded on first use: recovering senders is most of the cost of a transfer.
    decoded: OnceLock<Result<Vec<Transaction>, BlockTransactionError>>,
}

/// Why bytes are not a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockDecodeError {
    /// The bytes are no canonical encoding, or one beyond the limits.
    #[error("not a block: {0}")]
    Encoding(#[from] DecodeError),
    /// A transaction has more than [`MAX_TRANSACTION_BYTES`].
    #[error("transaction {index} has {length} bytes, more than {MAX_TRANSACTION_BYTES}")]
    TransactionTooLong {
        /// Position in the block.
        index: usize,
        /// Bytes found.
        length: usize,
    },
    /// The transactions are not those that the header commits to.
    #[error("the transactions hash to {found}, but the header's transactions_root is {expected}")]
    TransactionsRoot {
        /// What the header says.
        expected: B256,
        /// What the body hashes to.
        found: B256,
    },
    /// The records are not those that the header commits to.
    #[error("the records hash to {found}, but the header's records_root is {expected}")]
    RecordsRoot {
        /// What the header says.
        expected: B256,
        /// What the body hashes to.
        found: B256,
    },
}

/// A transaction of a block that can never be valid on its chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index}: {error}")]
pub struct BlockTransactionError {
    /// Position in the block.
    pub index: usize,
    /// What is wrong with it.
    pub error: TransactionError,
}

/// The root of a list of raw transactions.
pub fn transactions_root(transactions: &[Bytes]) -> B256 {
    list_root(transactions)
}

/// The tree of a list of records; each leaf is a [`SignedRecord`]'s canonical bytes.
fn records_tree(records: &[SignedRecord]) -> ListTree {
    let encoded: Vec<_> = records.iter().map(Canonical::to_bytes).collect();
    ListTree::new(&encoded)
}

/// The root of a list of records.
pub fn records_root(records: &[SignedRecord]) -> B256 {
    records_tree(records).root()
}

impl Block {
    /// The block with this body. `header`'s roots of the body are computed here, whatever they
    /// were, so that no block disagrees with itself.
    pub fn new(mut header: Header, transactions: Vec<Bytes>, records: Vec<SignedRecord>) -> Self {
        header.transactions_root = transactions_root(&transactions);
        let records_tree = records_tree(&records);
        header.records_root = records_tree.root();
        let parts = Parts {
            header,
            transactions,
            records,
        };
        let bytes = parts.to_bytes().into();
        Self::from_parts(parts, bytes, records_tree)
    }

    /// [`new`](Self::new) of transactions that are decoded already, for the header's chain: nobody recovers their senders again.
    pub fn from_decoded(
        header: Header,
        transactions: Vec<Transaction>,
        records: Vec<SignedRecord>,
    ) -> Self {
        let raw = transactions
            .iter()
            .map(|transaction| transaction.raw().clone());
        let block = Self::new(header, raw.collect(), records);
        // Nobody else has the block yet, so nothing is set.
        let _ = block.0.decoded.set(Ok(transactions));
        block
    }

    /// Decodes a block and checks that the body is what the header commits to.
    ///
    /// # Errors
    /// [`BlockDecodeError`]; whether the block is valid is another question ([`crate::execute()`]).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlockDecodeError> {
        let parts = Parts::from_bytes(bytes)?;
        for (index, transaction) in parts.transactions.iter().enumerate() {
            if transaction.len() > MAX_TRANSACTION_BYTES {
                return Err(BlockDecodeError::TransactionTooLong {
                    index,
                    length: transaction.len(),
                });
            }
        }
        let found = transactions_root(&parts.transactions);
        let expected = parts.header.transactions_root;
        if found != expected {
            return Err(BlockDecodeError::TransactionsRoot { expected, found });
        }
        let records_tree = records_tree(&parts.records);
        let found = records_tree.root();
        let expected = parts.header.records_root;
        if found != expected {
            return Err(BlockDecodeError::RecordsRoot { expected, found });
        }
        let bytes = Bytes::copy_from_slice(bytes);
        Ok(Self::from_parts(parts, bytes, records_tree))
    }

    /// The header of an encoded block, whose body is neither read nor checked: for blocks that were checked when they were
    /// stored.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes do not begin as a block does.
    pub fn read_header(bytes: &[u8]) -> Result<Header, DecodeError> {
        let mut decoder = minicbor::Decoder::new(bytes);
        read_array(&mut decoder, PARTS)?;
        Header::read(&mut decoder).map_err(|error| error.within("header"))
    }

    fn from_parts(parts: Parts, bytes: Bytes, records_tree: ListTree) -> Self {
        let hash = block_hash(&parts.header);
        Self(Arc::new(Inner {
            parts,
            bytes,
            hash,
            records_tree,
            decoded: OnceLock::new(),
        }))
    }

    /// The canonical encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The block's name: keccak256 of its header.
    pub fn hash(&self) -> BlockHash {
        self.0.hash
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.0.parts.header
    }

    /// The raw transactions (EIP-2718), in order.
    pub fn transactions(&self) -> &[Bytes] {
        &self.0.parts.transactions
    }

    /// The records, in order.
    pub fn records(&self) -> &[SignedRecord] {
        &self.0.parts.records
    }

    /// The path from the record at `position` to the header's `records_root`, or `None` if there
    /// are not so many.
    pub fn prove_record(&self, position: u32) -> Option<Inclusion> {
        self.0.records_tree.prove(position)
    }

    /// Whether the transactions are decoded already.
    pub fn is_decoded(&self) -> bool {
        self.0.decoded.get().is_some()
    }

    /// Decodes the transactions as [`decoded_transactions`](Self::decoded_transactions) does, but for those that are among
    /// `known`, which were decoded for this chain before: recovering their senders is most of the work.
    pub fn decode_knowing(&self, known: Vec<Transaction>) {
        let mut known: BTreeMap<Bytes, Transaction> = known
            .into_iter()
            .map(|transaction| (transaction.raw().clone(), transaction))
            .collect();
        self.0.decoded.get_or_init(|| {
            let known = self.transactions().iter().map(|raw| known.remove(raw));
            decode(self.transactions(), known.collect(), self.header().chain_id)
        });
    }

    /// The transactions decoded, with their senders. The first call uses all cores; it must not
    /// come from one of rayon's own threads, which could be given this very work a second time.
    ///
    /// # Errors
    /// [`BlockTransactionError`] names the first that is not valid on the header's chain.
    pub fn decoded_transactions(&self) -> Result<&[Transaction], BlockTransactionError> {
        self.0
            .decoded
            .get_or_init(|| {
                let unknown = vec![None; self.transactions().len()];
                decode(self.transactions(), unknown, self.header().chain_id)
            })
            .as_deref()
            .map_err(Clone::clone)
    }
}

/// Decodes transactions that are not `known`, one of these for each.
fn decode(
    raws: &[Bytes],
    known: Vec<Option<Transaction>>,
    chain_id: u64,
) -> Result<Vec<Transaction>, BlockTransactionError> {
    let unknown: Vec<Bytes> = raws
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.is_none())
        .map(|(raw, _)| raw.clone())
        .collect();
    let mut decoded = Transaction::decode_all(&unknown, chain_id).into_iter();
    let in_order = known.into_iter().enumerate();
    in_order
        .filter_map(|(index, known)| match known {
            Some(transaction) => Some(Ok(transaction)),
            None => {
                let decoded = decoded.next()?;
                Some(decoded.map_err(|error| BlockTransactionError { index, error }))
            }
        })
        .collect()
}

/// Blocks are equal if their bytes are.
impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}
impl Eq for Block {}
