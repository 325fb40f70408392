//! Key files: written once, for their owner only, and never shown.

use og_node::keys::{
    KeyFileError, create_account_key, create_consensus_key, create_node_key, create_seat_key,
    read_account_key, read_consensus_key, read_node_key, read_seat_key,
};

#[test]
fn every_kind_of_key_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rng = &mut rand::rng();

    let seat = create_seat_key(&at("seat.key"), rng).unwrap();
    assert_eq!(read_seat_key(&at("seat.key")).unwrap().id(), seat.id());
    let consensus = create_consensus_key(&at("consensus.key"), rng).unwrap();
    let read = read_consensus_key(&at("consensus.key")).unwrap();
    assert_eq!(read.public(), consensus.public());
    let node = create_node_key(&at("node.key"), rng).unwrap();
    assert_eq!(read_node_key(&at("node.key")).unwrap().id(), node.id());
    let account = create_account_key(&at("account.key"), rng).unwrap();
    let signer = read_account_key(&at("account.key")).unwrap();
    assert_eq!(signer.address(), account);
}

#[test]
#[cfg(unix)]
fn a_key_file_is_for_its_owner_only_and_is_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seat.key");
    let key = create_seat_key(&path, &mut rand::rng()).unwrap();
    let mode = path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let error = create_seat_key(&path, &mut rand::rng()).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert_eq!(read_seat_key(&path).unwrap().id(), key.id());
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seat.key");
    std::fs::write(&path, "a-secret-that-is-not-hexadecimal").unwrap();
    let error = read_seat_key(&path).unwrap_err().to_string();
    assert!(error.contains("seat key"), "{error}");
    assert!(!error.contains("a-secret"), "{error}");
    let error = read_node_key(&folder.path().join("missing")).unwrap_err();
    assert!(matches!(error, KeyFileError::Read { .. }), "{error}");
}
