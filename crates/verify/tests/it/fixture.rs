//! A small network with fixed keys, and receipts of its answers made as the real one makes them.

use commonware_codec::Encode as _;
use commonware_consensus::{
    simplex::{
        scheme::bls12381_multisig::Scheme,
        types::{Finalization, Finalize, Proposal},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{
    bls12381::primitives::variant::MinSig, ed25519::PublicKey, keccak256::Digest,
};
use commonware_parallel::Sequential;
use commonware_utils::non_empty;
use og_crypto::{
    ConsensusKey, NodeKey, SeatKey, ValidatorSet, block_hash, commit_input, commit_output,
    genesis_hash, merkle,
    validators::{consensus_namespace, genesis_validator},
};
use og_types::{
    Amount, Canonical as _, Computed, ElementType, Genesis, GenesisAccount, Header,
    InferenceRequest, InferenceResponse, ModelId, Opening, Receipt, Record, RequestId,
    SignedRecord, Tensor, Tier,
};
use og_verify::TrustAnchor;

/// How this network's seats sign.
pub(crate) type SeatScheme = Scheme<PublicKey, MinSig>;
/// What they sign to make a block final.
pub(crate) type Certificate = Finalization<SeatScheme, Digest>;

/// Time of genesis, Unix milliseconds.
pub(crate) const GENESIS_MS: u64 = 1_760_000_000_000;

/// A network with fixed keys.
pub(crate) struct Network {
    /// Its genesis file.
    pub(crate) genesis: Genesis,
    /// Its seats' consensus keys, in the order of the set.
    pub(crate) seats: Vec<ConsensusKey>,
}

impl Network {
    /// A network of this many seats.
    pub(crate) fn new(seats: u8) -> Self {
        let mut keys: Vec<_> = (1..=seats)
            .map(|number| {
                let consensus = ConsensusKey::from_hex(&format!("{number:02x}").repeat(32));
                (SeatKey::from_seed([number; 32]), consensus.unwrap())
            })
            .collect();
        keys.sort_by_key(|(seat, _)| seat.id());
        let validators = keys
            .iter()
            .map(|(seat, consensus)| genesis_validator(seat, consensus, [0xfe; 20].into()))
            .collect();
        let account = GenesisAccount {
            balance: "1000000000000000000000".parse().unwrap(),
            ..GenesisAccount::default()
        };
        let contract = GenesisAccount {
            code: vec![0x60, 0x00, 0x60, 0x00, 0xf3].into(),
            storage: [([1; 32].into(), [2; 32].into())].into(),
            ..GenesisAccount::default()
        };
        let genesis = Genesis {
            version: 1,
            network: "vectors".to_owned(),
            chain_id: 424_242,
            timestamp_ms: GENESIS_MS,
            epoch_length: 1024,
            gas_limit: 30_000_000,
            base_fee_per_gas: 1_000_000_000,
            validators,
            alloc: [([0xaa; 20].into(), account), ([0xcc; 20].into(), contract)].into(),
        };
        Self {
            genesis,
            seats: keys.into_iter().map(|(_, consensus)| consensus).collect(),
        }
    }

    /// Trust in this network's genesis file.
    pub(crate) fn anchor(&self) -> TrustAnchor {
        TrustAnchor::from_genesis(&self.genesis).unwrap()
    }

    /// The set of seats.
    pub(crate) fn set(&self) -> ValidatorSet {
        ValidatorSet::new(self.genesis.validators.clone()).unwrap()
    }

    /// The scheme with which the seat at `index` signs.
    pub(crate) fn scheme(&self, index: usize) -> SeatScheme {
        let namespace = consensus_namespace(&genesis_hash(&self.genesis));
        let keys = self.set().keys().clone();
        Scheme::signer(&namespace, keys, self.seats[index].0.clone()).unwrap()
    }

    /// The certificate of these seats for a header, proposed in the header's own round.
    pub(crate) fn certificate(&self, header: &Header, signers: &[usize]) -> Certificate {
        self.certificate_in_round(header, header.view, header.parent_view, signers)
    }

    /// The certificate of these seats for a header proposed in another view.
    pub(crate) fn certificate_in_round(
        &self,
        header: &Header,
        view: u64,
        parent_view: u64,
        signers: &[usize],
    ) -> Certificate {
        let proposal = Proposal::new(
            Round::new(Epoch::new(header.epoch), View::new(view)),
            View::new(parent_view),
            Digest(block_hash(header).0),
        );
        let votes: Vec<_> = signers
            .iter()
            .map(|index| Finalize::sign(&self.scheme(*index), proposal.clone()).unwrap())
            .collect();
        Finalization::from_finalizes(&self.scheme(0), non_empty![@votes.iter()], &Sequential)
            .unwrap()
    }
}

/// The model that the fixtures say they asked.
pub(crate) fn model() -> ModelId {
    ModelId([0xd1; 32])
}

/// The key of the node that the fixtures say answered.
pub(crate) fn node() -> NodeKey {
    NodeKey::from_seed([0x40; 32])
}

fn floats(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}

/// A request like one for a handwritten digit: 8 x 8 grey values.
pub(crate) fn request() -> InferenceRequest {
    InferenceRequest {
        version: 1,
        model: model(),
        inputs: vec![Tensor {
            name: "image".to_owned(),
            element_type: ElementType::F32,
            shape: vec![1, 1, 8, 8],
            data: floats((0..64u8).map(|pixel| f32::from(pixel % 17))).into(),
        }],
    }
}

/// A response like one for a handwritten digit: a score for each of ten.
pub(crate) fn response() -> InferenceResponse {
    InferenceResponse {
        version: 1,
        outputs: vec![Tensor {
            name: "scores".to_owned(),
            element_type: ElementType::F32,
            shape: vec![1, 10],
            data: floats((0..10u8).map(|digit| f32::from(digit) / 8.0 - 0.5)).into(),
        }],
    }
}

/// What a receipt is made of, to be changed before it is signed.
#[derive(Clone)]
pub(crate) struct Draft {
    /// The record; [`finish`](Self::finish) fills in its commitments.
    pub(crate) record: Record,
    /// Who signs it.
    pub(crate) node: NodeKey,
    /// The request's bytes.
    pub(crate) request: Vec<u8>,
    /// The response's bytes.
    pub(crate) response: Vec<u8>,
    /// The header; `finish` fills in its records root.
    pub(crate) header: Header,
    /// Records of the block before the record.
    pub(crate) before: u8,
    /// Records of the block after the record.
    pub(crate) after: u8,
    /// Blocks from the header's to the one that is certified.
    pub(crate) descendants: u64,
    /// Seats that sign the certificate.
    pub(crate) signers: Vec<usize>,
}

impl Draft {
    /// An honest answer, alone in block 7, signed by a quorum.
    pub(crate) fn new(network: &Network) -> Self {
        let now_ms = GENESIS_MS + 60_000;
        let seats = network.seats.len();
        Self {
            record: record(network.genesis.chain_id, 0, now_ms),
            node: node(),
            request: request().to_bytes(),
            response: response().to_bytes(),
            header: Header {
                version: 1,
                chain_id: network.genesis.chain_id,
                height: 7,
                parent: [0x06; 32].into(),
                epoch: 0,
                view: 300,
                parent_view: 298,
                proposer: network.genesis.validators[0].id,
                timestamp_ms: now_ms,
                gas_limit: 30_000_000,
                gas_used: 21_000,
                base_fee_per_gas: 875_000_000,
                transactions_root: [0x11; 32].into(),
                receipts_root: [0x12; 32].into(),
                records_root: [0; 32].into(),
                state_root: [0x13; 32].into(),
                state_operations_root: [0x14; 32].into(),
                state_operations_floor: 70,
                state_operations_size: 90_000,
                next_validators: network.set().hash(),
            },
            before: 0,
            after: 0,
            descendants: 0,
            signers: (0..seats - (seats - 1) / 3).collect(),
        }
    }

    /// Commits, signs, builds the block and its descendants, and has them finalized.
    pub(crate) fn finish(&self, network: &Network) -> Receipt {
        let genesis = genesis_hash(&network.genesis);
        let salt = [0x5a; 32].into();
        let mut record = self.record.clone();
        record.input_commitment = commit_input(&salt, &self.request);
        record.output_commitment = commit_output(&salt, &self.response);
        let signed = self.node.sign(&genesis, record);
        let leaves = self.leaves(&signed, |number| {
            let other = self::record(network.genesis.chain_id, number, self.header.timestamp_ms);
            node().sign(&genesis, other)
        });
        let mut header = self.header.clone();
        header.records_root = merkle::list_root(&leaves);
        let mut descendants: Vec<Header> = Vec::new();
        for _ in 0..self.descendants {
            let parent = descendants.last().unwrap_or(&header);
            descendants.push(child(parent));
        }
        let certified = descendants.last().unwrap_or(&header);
        let certificate = network.certificate(certified, &self.signers);
        Receipt {
            version: 1,
            record: signed,
            opening: Opening {
                salt,
                request: self.request.clone().into(),
                response: self.response.clone().into(),
            },
            evidence: None,
            inclusion: merkle::ListTree::new(&leaves)
                .prove(self.before.into())
                .unwrap(),
            header,
            descendants,
            finalization: certificate.encode().to_vec().into(),
        }
    }

    fn leaves(&self, ours: &SignedRecord, other: impl Fn(u8) -> SignedRecord) -> Vec<Vec<u8>> {
        let others = (1..=self.before + self.after).map(|number| other(number).to_bytes());
        let mut leaves: Vec<_> = others.collect();
        leaves.insert(self.before.into(), ours.to_bytes());
        leaves
    }
}

/// The header that follows `parent`, of a block without records.
pub(crate) fn child(parent: &Header) -> Header {
    Header {
        height: parent.height + 1,
        parent: block_hash(parent),
        view: parent.view + 2,
        parent_view: parent.view,
        timestamp_ms: parent.timestamp_ms + 250,
        records_root: merkle::list_root::<[u8; 0]>(&[]),
        ..parent.clone()
    }
}

fn record(chain_id: u64, number: u8, now_ms: u64) -> Record {
    Record {
        version: 1,
        chain_id,
        request_id: RequestId([number; 32]),
        payer: [0xaa; 20].into(),
        payee: [0xbb; 20].into(),
        price: Amount(1_500),
        model: model(),
        tier: Tier::Signed,
        computed: Computed::Float,
        valid_from_ms: now_ms - 2_000,
        valid_until_ms: now_ms + 118_000,
        input_commitment: [0; 32].into(),
        output_commitment: [0; 32].into(),
        seed: 0,
        input_units: 64,
        output_units: 10,
        started_at_ms: now_ms - 1_900,
        finished_at_ms: now_ms - 1_850,
        node: node().id(),
        evidence: None,
    }
}
