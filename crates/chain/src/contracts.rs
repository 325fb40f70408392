//! The contracts that every new chain begins with, beside the [Registry](crate::registry).
//!
//! Sources and compiled artifacts are in `contracts/`, what they do is in `docs/contracts.md`.

mod constructor;
mod tee_registry;

pub use constructor::{ConstructorError, construct};
pub use tee_registry::{GenesisTee, TEE_REGISTRY, TeeRegistryGenesis, tee_registry};

use alloy_primitives::{Address, Bytes, U256, address, hex};
use alloy_sol_types::SolValue as _;
use og_types::GenesisAccount;

/// The native coin as an ERC-20 token. The [native-move precompile](crate::precompile) trusts
/// whatever code stands here.
pub const OPG: Address = address!("0x0000000000000000000000000000000000000a02");
/// Many calls in one; where it stands on other chains too.
pub const MULTICALL3: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
/// The deterministic-deployment proxy; where it stands on other chains too.
pub const DETERMINISTIC_DEPLOYER: Address = address!("0x4e59b44847b379578588920cA78FbF26c0B4956C");

const OPG_CODE: &[u8] = include_bytes!("../../../contracts/artifacts/OPG.creation.bin");
const MULTICALL3_CODE: &[u8] =
    include_bytes!("../../../contracts/artifacts/Multicall3.creation.bin");
/// The same 69 bytes as on other chains: `CREATE2` with the salt in the first word of the input
/// and the creation code after it, answered by the address in 20 bytes.
const DETERMINISTIC_DEPLOYER_CODE: &[u8] = &hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"
    "3601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// The accounts of these contracts for the genesis file of chain `chain_id`, whose accounts have
/// `supply` together, in the coin's smallest unit.
///
/// # Errors
/// [`ConstructorError`] if an artifact is not what its source says.
pub fn predeploys(
    chain_id: u64,
    supply: U256,
) -> Result<[(Address, GenesisAccount); 3], ConstructorError> {
    let deployer = GenesisAccount {
        code: Bytes::from_static(DETERMINISTIC_DEPLOYER_CODE),
        ..GenesisAccount::default()
    };
    Ok([
        (
            OPG,
            construct(OPG, chain_id, OPG_CODE, &supply.abi_encode())?,
        ),
        (
            MULTICALL3,
            construct(MULTICALL3, chain_id, MULTICALL3_CODE, &[])?,
        ),
        (DETERMINISTIC_DEPLOYER, deployer),
    ])
}
