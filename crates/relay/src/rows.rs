//! The registry's rows, out of the bytes of an answer.

use crate::config::MAX_GATEWAYS;
use alloy_sol_types::{SolCall as _, sol};

sol! {
    /// How requests to a gateway are sealed.
    #[derive(Debug)]
    struct OhttpConfig {
        uint8 keyId;
        uint16 kemId;
        uint16 kdfId;
        uint16 aeadId;
        bytes publicKey;
        bytes keyConfig;
        uint256 registeredAt;
    }

    /// A row, as published clients read it.
    #[derive(Debug)]
    struct TEEInfo {
        address owner;
        address paymentAddress;
        string endpoint;
        bytes publicKey;
        bytes tlsCertificate;
        bytes32 pcrHash;
        uint8 teeType;
        bool enabled;
        uint256 registeredAt;
        uint256 lastHeartbeatAt;
        OhttpConfig ohttpConfig;
    }

    function getActiveTEEs(uint8 teeType) external view returns (TEEInfo[] tees);
}

/// The type of gateways of language models.
const LLM_PROXY: u8 = 0;
/// Length of a word of the contract ABI, in bytes.
const WORD: usize = 32;

/// Why bytes are no rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// They do not begin as a list does: there is no contract at the address, or another one.
    #[error("it is no list of rows: is the registry at this address of this chain?")]
    NoList,
    /// The registry holds no more of one type; one row could be told many times in few bytes.
    #[error("it has more than {MAX_GATEWAYS} rows")]
    TooMany,
    /// A row is broken.
    #[error("a row is broken: {0}")]
    Row(String),
}

/// What asks for the rows of active gateways.
pub(crate) fn question() -> Vec<u8> {
    getActiveTEEsCall { teeType: LLM_PROXY }.abi_encode()
}

/// The rows in an answer.
///
/// # Errors
/// [`RowsError`]; the node of the chain is at fault, or who named it.
pub(crate) fn read(answer: &[u8]) -> Result<Vec<TEEInfo>, RowsError> {
    let (position, rest) = answer
        .split_first_chunk::<WORD>()
        .ok_or(RowsError::NoList)?;
    let count = rest.first_chunk::<WORD>().ok_or(RowsError::NoList)?;
    if small(position) != Some(WORD) {
        return Err(RowsError::NoList);
    }
    if small(count).is_none_or(|count| count > MAX_GATEWAYS) {
        return Err(RowsError::TooMany);
    }
    getActiveTEEsCall::abi_decode_returns_validate(answer)
        .map_err(|error| RowsError::Row(error.to_string()))
}

/// A word that is a number below 256.
fn small(word: &[u8; WORD]) -> Option<usize> {
    let (last, zeros) = word.split_last()?;
    zeros
        .iter()
        .all(|byte| *byte == 0)
        .then(|| usize::from(*last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256, U256};
    use alloy_sol_types::SolValue as _;

    fn row() -> TEEInfo {
        TEEInfo {
            owner: Address::ZERO,
            paymentAddress: Address::ZERO,
            endpoint: "https://127.0.0.1:1".to_owned(),
            publicKey: vec![1; 294].into(),
            tlsCertificate: vec![2; 400].into(),
            pcrHash: B256::ZERO,
            teeType: 0,
            enabled: true,
            registeredAt: U256::ZERO,
            lastHeartbeatAt: U256::ZERO,
            ohttpConfig: OhttpConfig {
                keyId: 1,
                kemId: 0x20,
                kdfId: 1,
                aeadId: 3,
                publicKey: vec![3; 32].into(),
                keyConfig: vec![4; 41].into(),
                registeredAt: U256::ZERO,
            },
        }
    }

    #[test]
    fn as_many_rows_are_read_as_the_registry_holds() {
        for count in [0, 1, MAX_GATEWAYS] {
            let answer = vec![row(); count].abi_encode();
            assert_eq!(read(&answer).unwrap().len(), count);
        }
        let answer = vec![row(); MAX_GATEWAYS + 1].abi_encode();
        assert_eq!(read(&answer).unwrap_err(), RowsError::TooMany);
        let mut endless = vec![row()].abi_encode();
        endless[WORD..2 * WORD].fill(0xff);
        assert_eq!(read(&endless).unwrap_err(), RowsError::TooMany);
    }

    #[test]
    fn what_is_no_list_is_told() {
        let whole = vec![row()].abi_encode();
        // What an address without a contract answers.
        assert_eq!(read(&[]).unwrap_err(), RowsError::NoList);
        assert_eq!(read(&whole[..40]).unwrap_err(), RowsError::NoList);
        assert_eq!(read(&[1; 64]).unwrap_err(), RowsError::NoList);
        for length in (64..whole.len() - WORD).step_by(WORD) {
            let error = read(&whole[..length]).unwrap_err();
            assert!(matches!(error, RowsError::Row(_)), "{length}: {error}");
        }
    }

    #[test]
    fn changed_bytes_are_other_rows_or_refused() {
        let whole = vec![row(); 2].abi_encode();
        for position in 0..whole.len() {
            for value in [0, 1, 0x40, 0xff] {
                let mut changed = whole.clone();
                changed[position] = value;
                let rows = read(&changed).unwrap_or_default();
                assert!(rows.len() <= MAX_GATEWAYS);
            }
        }
    }
}
