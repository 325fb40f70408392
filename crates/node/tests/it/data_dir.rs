//! A data directory belongs to one chain, one process and one format.

use alloy_primitives::B256;
use og_node::data_dir::{DataDir, DataDirError};
use std::fs;

#[test]
fn a_folder_belongs_to_one_chain_one_process_and_one_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node");
    let chain = B256::repeat_byte(1);
    let open = DataDir::open(&path, chain).unwrap();
    assert!(matches!(
        DataDir::open(&path, chain),
        Err(DataDirError::InUse { .. })
    ));
    drop(open);
    drop(DataDir::open(&path, chain).unwrap());
    assert!(matches!(
        DataDir::open(&path, B256::repeat_byte(2)),
        Err(DataDirError::AnotherChain { .. })
    ));
    let identity = path.join("chain.json");
    let newer = fs::read_to_string(&identity).unwrap().replace(": 1", ": 2");
    fs::write(&identity, newer).unwrap();
    assert!(matches!(
        DataDir::open(&path, chain),
        Err(DataDirError::NewerFormat { found: 2, .. })
    ));
    fs::write(&identity, "{").unwrap();
    assert!(matches!(
        DataDir::open(&path, chain),
        Err(DataDirError::Damaged { .. })
    ));
}
