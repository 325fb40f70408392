//! The registry of gateways that OpenGradient's clients read, as a new chain begins with it.

use super::{ConstructorError, construct};
use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_sol_types::{SolValue as _, sol};
use og_types::GenesisAccount;

/// Where the registry stands.
pub const TEE_REGISTRY: Address = address!("0x0000000000000000000000000000000000000a03");

const CODE: &[u8] = include_bytes!("../../../../contracts/artifacts/TEERegistry.creation.bin");

/// What the registry of a new chain is to be.
#[derive(Clone, Debug, Default)]
pub struct TeeRegistryGenesis {
    /// Whether gateways may register themselves, with evidence that is simulated: for networks for
    /// development.
    pub self_registration: bool,
    /// How long a row is active without a heartbeat, in seconds; zero: silence does not matter.
    pub heartbeat_max_age_s: u64,
    /// The gateways that it begins with.
    pub tees: Vec<GenesisTee>,
}

/// A gateway of language models that a chain begins with.
#[derive(Clone, Debug)]
pub struct GenesisTee {
    /// Who may change the row.
    pub owner: Address,
    /// Who is paid.
    pub payment_address: Address,
    /// Its URL, for example `https://203.0.113.7:8443`.
    pub endpoint: String,
    /// Its RSA-2048 key, DER of SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// Its self-signed certificate in DER.
    pub tls_certificate: Vec<u8>,
    /// The X25519 key that requests are sealed for, or zero.
    pub ohttp_public_key: B256,
}

sol! {
    struct Registration {
        address paymentAddress;
        string endpoint;
        bytes publicKey;
        bytes tlsCertificate;
        uint8 teeType;
        bytes32 ohttpPublicKey;
    }
    struct OwnedRegistration { address owner; Registration tee; }
}

/// A gateway of language models.
const LLM_PROXY: u8 = 0;

/// The registry's account for the genesis file of chain `chain_id`. There is room for some 30 rows
/// of usual size: a constructor has the gas of one system call.
///
/// # Errors
/// [`ConstructorError::Reverted`] if a row is none: `docs/contracts.md` says what a row has to be.
pub fn tee_registry(
    chain_id: u64,
    genesis: &TeeRegistryGenesis,
) -> Result<(Address, GenesisAccount), ConstructorError> {
    let rows: Vec<_> = genesis.tees.iter().map(row).collect();
    let arguments = (
        genesis.self_registration,
        U256::from(genesis.heartbeat_max_age_s),
        rows,
    );
    let account = construct(TEE_REGISTRY, chain_id, CODE, &arguments.abi_encode_params())?;
    Ok((TEE_REGISTRY, account))
}

fn row(tee: &GenesisTee) -> OwnedRegistration {
    OwnedRegistration {
        owner: tee.owner,
        tee: Registration {
            paymentAddress: tee.payment_address,
            endpoint: tee.endpoint.clone(),
            publicKey: Bytes::copy_from_slice(&tee.public_key),
            tlsCertificate: Bytes::copy_from_slice(&tee.tls_certificate),
            teeType: LLM_PROXY,
            ohttpPublicKey: tee.ohttp_public_key,
        },
    }
}
