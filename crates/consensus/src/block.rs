//! A block as consensus carries it.

use bytes::{BufMut, Bytes};
use commonware_codec::{
    Buf, DecodeExt as _, EncodeSize, Error as CodecError, RangeCfg, Read, Write,
};
use commonware_consensus::{
    BoundedBlock, CertifiableBlock, Heightable,
    simplex::types::Context,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digestible, ed25519::PublicKey, keccak256::Digest};
use og_chain::block::Block;
use og_types::{BlockHash, limits::MAX_BLOCK_BYTES};

/// Bytes of the length that precedes a block on the wire (a varint of 32 bits).
const LENGTH_BYTES: usize = 5;

/// A block whose proposer is a possible key, cheap to clone.
#[derive(Clone, Debug)]
pub struct ConsensusBlock {
    block: Block,
    proposer: PublicKey,
}

/// The digest that consensus orders: the block's hash.
pub fn digest(hash: &BlockHash) -> Digest {
    Digest(hash.0)
}

/// The hash that a digest of consensus stands for.
pub fn block_hash(digest: &Digest) -> BlockHash {
    BlockHash(digest.0)
}

impl ConsensusBlock {
    /// Wraps a block; `None` if its proposer is not an Ed25519 public key.
    pub fn new(block: Block) -> Option<Self> {
        let key = Bytes::copy_from_slice(&block.header().proposer.0);
        let proposer = PublicKey::decode(key).ok()?;
        Some(Self { block, proposer })
    }

    /// The block itself.
    pub fn block(&self) -> &Block {
        &self.block
    }
}

impl PartialEq for ConsensusBlock {
    fn eq(&self, other: &Self) -> bool {
        self.block.hash() == other.block.hash()
    }
}

impl Eq for ConsensusBlock {}

impl Write for ConsensusBlock {
    fn write(&self, buffer: &mut impl BufMut) {
        self.block.bytes().0.write(buffer);
    }
}

impl EncodeSize for ConsensusBlock {
    fn encode_size(&self) -> usize {
        self.block.bytes().0.encode_size()
    }
}

impl Read for ConsensusBlock {
    type Cfg = ();

    fn read_cfg(buffer: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let bytes = Bytes::read_cfg(buffer, &RangeCfg::from(0..=MAX_BLOCK_BYTES))?;
        let block = Block::from_bytes(&bytes)
            .map_err(|_| CodecError::Invalid("block", "not a canonical block"))?;
        Self::new(block).ok_or(CodecError::Invalid("block", "the proposer is not a key"))
    }
}

impl Digestible for ConsensusBlock {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        digest(&self.block.hash())
    }
}

impl Heightable for ConsensusBlock {
    fn height(&self) -> Height {
        Height::new(self.block.header().height)
    }
}

impl commonware_consensus::Block for ConsensusBlock {
    fn parent(&self) -> Digest {
        digest(&self.block.header().parent)
    }
}

impl CertifiableBlock for ConsensusBlock {
    type Context = Context<Digest, PublicKey>;

    fn context(&self) -> Self::Context {
        let header = self.block.header();
        Context {
            round: Round::new(Epoch::new(header.epoch), View::new(header.view)),
            leader: self.proposer.clone(),
            parent: (View::new(header.parent_view), digest(&header.parent)),
        }
    }
}

impl BoundedBlock for ConsensusBlock {
    fn max_encode_size(_: &()) -> usize {
        LENGTH_BYTES + MAX_BLOCK_BYTES
    }
}
