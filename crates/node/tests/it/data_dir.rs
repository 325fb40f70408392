//! A data directory belongs to one chain, one node, one process and one format.

use alloy_primitives::B256;
use og_node::data_dir::{DataDir, DataDirError};
use std::{fs, path::Path};

const CHAIN: B256 = B256::repeat_byte(1);

fn open(path: &Path) -> Result<DataDir, DataDirError> {
    DataDir::open(path, CHAIN, "validator 1")
}

#[test]
fn a_folder_belongs_to_one_chain_one_node_one_process_and_one_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node");
    let held = open(&path).unwrap();
    assert!(matches!(open(&path), Err(DataDirError::InUse { .. })));
    drop(held);
    drop(open(&path).unwrap());
    assert!(matches!(
        DataDir::open(&path, B256::repeat_byte(2), "validator 1"),
        Err(DataDirError::AnotherChain { .. })
    ));
    assert!(matches!(
        DataDir::open(&path, CHAIN, "validator 2"),
        Err(DataDirError::AnotherNode { .. })
    ));
    let identity = path.join("chain.json");
    let newer = fs::read_to_string(&identity).unwrap().replace(": 2", ": 3");
    fs::write(&identity, newer).unwrap();
    assert!(matches!(
        open(&path),
        Err(DataDirError::NewerFormat { found: 3, .. })
    ));
    fs::write(&identity, "{").unwrap();
    assert!(matches!(open(&path), Err(DataDirError::Damaged { .. })));
}

#[test]
fn a_folder_of_the_first_format_becomes_the_node_s_that_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let first = format!("{{\"format_version\": 1, \"genesis_hash\": \"{CHAIN}\"}}");
    fs::write(path.join("chain.json"), first).unwrap();
    drop(open(path).unwrap());
    assert!(matches!(
        DataDir::open(path, CHAIN, "a gateway"),
        Err(DataDirError::AnotherNode { .. })
    ));
}
