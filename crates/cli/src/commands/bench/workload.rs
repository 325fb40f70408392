//! What the EVM is measured with: plain transfers, an ordinary token, hashing, and the contracts for it.

use super::senders::{Action, Senders, TRANSFER_GAS};
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_sol_types::{SolCall as _, SolValue as _, sol};

/// Creation code of a token as OpenZeppelin has it, `contracts/fixtures/PlainToken.sol`. Its constructor gives 10^24
/// units to the address that follows the code.
const TOKEN: &[u8] =
    include_bytes!("../../../../../contracts/artifacts/fixtures/PlainToken.creation.bin");
/// Hashes the last hash as often as its argument says, and stores what comes out.
///
/// ```text
/// PUSH0 CALLDATALOAD
/// loop: JUMPDEST PUSH1 32 PUSH0 KECCAK256 PUSH0 MSTORE PUSH1 1 SWAP1 SUB DUP1 PUSH1 loop JUMPI
/// PUSH0 MLOAD PUSH0 SSTORE STOP
/// ```
const HASHER: &[u8] = &hex!("5f355b60205f205f526001900380600257" "5f515f5500");
/// Sends 1 unit to each of as many addresses as its second argument says, from its first argument on.
///
/// ```text
/// PUSH0 CALLDATALOAD PUSH1 32 CALLDATALOAD
/// loop: JUMPDEST PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 1 DUP7 PUSH0 CALL POP
/// SWAP1 PUSH1 1 ADD SWAP1 PUSH1 1 SWAP1 SUB DUP1 PUSH1 loop JUMPI STOP
/// ```
const SPREADER: &[u8] = &hex!("5f356020355b5f5f5f5f6001865ff150" "90600101906001900380600557" "00");

/// Gas with which a contract is made.
const CREATION_GAS: u64 = 2_000_000;
/// What each account gets of the token.
const TOKENS: u64 = 1_000_000_000_000;
/// Gas of a token's transfer between accounts that have some, about; and the most it may use.
const TOKEN_TRANSFER_GAS: u64 = 34_500;
const TOKEN_TRANSFER_GAS_LIMIT: u64 = 60_000;
/// Hashes of one call, at 72 gas each: three calls fit a block of 30 million gas.
const HASHES: u64 = 137_000;
const HASHES_GAS: u64 = HASHES * 72;
const HASHES_GAS_LIMIT: u64 = 10_000_000;
/// New accounts of one call, at some 34,300 gas each: just below half of a block, so that the base fee stays where it is,
/// and with a limit above half, so that no block takes two.
pub(super) const SPREAD: u64 = 430;
const SPREAD_GAS_LIMIT: u64 = 16_000_000;
/// Where the accounts begin that the state is grown by.
const FIRST_GROWN: u64 = 1 << 40;

sol! {
    /// The token.
    interface Token {
        function transfer(address to, uint256 amount) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
        event Transfer(address indexed from, address indexed to, uint256 amount);
    }
}

/// The contracts' addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contracts {
    pub(super) token: Address,
    hasher: Address,
    spreader: Address,
}

impl Contracts {
    /// The transactions of the first account that make them and give the token to every account.
    pub(super) fn create(senders: &mut Senders) -> anyhow::Result<(Self, Vec<Bytes>)> {
        let creator = senders.address(0);
        let nonce = senders.nonce(0);
        let token = [TOKEN, &creator.abi_encode()].concat();
        let contracts = Self {
            token: creator.create(nonce),
            hasher: creator.create(nonce + 1),
            spreader: creator.create(nonce + 2),
        };
        let mut transactions = Vec::new();
        for code in [token, creation(HASHER), creation(SPREADER)] {
            transactions.push(senders.sign(
                0,
                Action {
                    to: TxKind::Create,
                    value: 0,
                    input: code.into(),
                    gas_limit: CREATION_GAS,
                },
            )?);
        }
        for address in senders.addresses() {
            let action = contracts.token_transfer(address, TOKENS);
            transactions.push(senders.sign(0, action)?);
        }
        Ok((contracts, transactions))
    }

    fn token_transfer(&self, to: Address, amount: u64) -> Action {
        let amount = U256::from(amount);
        let input = Token::transferCall { to, amount }.abi_encode();
        Action::call(self.token, input.into(), TOKEN_TRANSFER_GAS_LIMIT)
    }

    /// What makes the accounts number `first` to `first + count - 1`.
    pub(super) fn spread(&self, first: u64, count: u64) -> Action {
        let input = (grown_account(first), U256::from(count)).abi_encode();
        Action {
            value: count,
            ..Action::call(self.spreader, input.into(), SPREAD_GAS_LIMIT)
        }
    }
}

/// Account number `index` of those that the state is grown by.
pub(super) fn grown_account(index: u64) -> Address {
    Address::left_padding_from(&(FIRST_GROWN + index).to_be_bytes())
}

/// The creation code of a contract without a constructor.
fn creation(code: &[u8]) -> Vec<u8> {
    // PUSH1 length DUP1 PUSH1 9 PUSH0 CODECOPY PUSH0 RETURN, nine bytes; ours are shorter than 256.
    let length = u8::try_from(code.len()).unwrap_or(u8::MAX);
    [&[0x60, length, 0x80, 0x60, 9, 0x5f, 0x39, 0x5f, 0xf3], code].concat()
}

/// What blocks are filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// Transfers of the native token to accounts that have some.
    Transfers,
    /// Transfers of an ERC-20 token to accounts that have some.
    Token,
    /// Hashing.
    Compute,
}

impl Workload {
    pub(super) const ALL: [Self; 3] = [Self::Transfers, Self::Token, Self::Compute];

    /// Signed transactions that use about so much gas, in millions, by all accounts in turn.
    pub(super) fn transactions(
        self,
        contracts: &Contracts,
        senders: &mut Senders,
        mgas: u32,
    ) -> anyhow::Result<Vec<Bytes>> {
        let gas = match self {
            Self::Transfers => TRANSFER_GAS,
            Self::Token => TOKEN_TRANSFER_GAS,
            Self::Compute => HASHES_GAS,
        };
        let count = (u64::from(mgas) * 1_000_000).div_ceil(gas);
        (0..usize::try_from(count)?)
            .map(|index| {
                let next = senders.address(index + 1);
                let action = match self {
                    Self::Transfers => Action::transfer(next),
                    Self::Token => contracts.token_transfer(next, 1),
                    Self::Compute => {
                        let input = U256::from(HASHES).abi_encode();
                        Action::call(contracts.hasher, input.into(), HASHES_GAS_LIMIT)
                    }
                };
                senders.sign(index, action)
            })
            .collect()
    }
}
