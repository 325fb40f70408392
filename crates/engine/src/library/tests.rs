//! Tests of the library: what is added is found, by every process, unless it was damaged.

use super::*;

/// A file of another id that is the same model: protobuf ignores fields it does not know.
fn variant(number: u8) -> Vec<u8> {
    // Field 1000, of type varint.
    [DIGITS, &[0xc0, 0x3e, number]].concat()
}

fn library() -> (tempfile::TempDir, Library) {
    let directory = tempfile::tempdir().unwrap();
    let library = Library::open(directory.path().join("models")).unwrap();
    (directory, library)
}

#[test]
fn the_built_in_model_is_there_and_keeps_its_name() {
    let (_directory, library) = library();
    let digits = library.resolve("digits").unwrap();
    assert_eq!(library.list().unwrap(), std::slice::from_ref(&digits));
    assert_eq!(library.resolve(&digits.id.to_string()).unwrap(), digits);
    assert_eq!(library.add(DIGITS, "other").unwrap(), digits);
    assert_eq!(library.list().unwrap().len(), 1);
    assert_eq!(
        *library.get(&digits.id).unwrap().describe(),
        digits.description
    );
}

#[test]
fn what_one_process_adds_another_finds() {
    let (_directory, library) = library();
    let other = Library::open(&library.directory).unwrap();
    let added = library.add(&variant(1), "mine").unwrap();
    assert_eq!(other.resolve("mine").unwrap(), added);
    assert_eq!(other.list().unwrap().len(), 2);
    other.get(&added.id).unwrap();
    let renamed = other.add(&variant(1), "yours").unwrap();
    assert_eq!(renamed.id, added.id);
    assert_eq!(library.resolve("yours").unwrap(), renamed);
    assert!(matches!(
        library.resolve("mine"),
        Err(LibraryError::Unknown(_))
    ));
}

#[test]
fn names_are_unique_and_fit() {
    let (_directory, library) = library();
    library.add(&variant(1), "mine").unwrap();
    for taken in ["mine", "digits"] {
        let error = library.add(&variant(2), taken).unwrap_err();
        assert!(matches!(error, LibraryError::NameTaken { .. }), "{error}");
    }
    let id = "ab".repeat(32);
    for unfit in ["", "1st", "A", "a/b", "../a", "é", &"a".repeat(65), &id] {
        let error = library.add(&variant(2), unfit).unwrap_err();
        assert!(matches!(error, LibraryError::Name(_)), "{unfit}: {error}");
    }
    assert_eq!(library.list().unwrap().len(), 2);
}

#[test]
fn unknown_and_damaged_models_are_errors_and_adding_again_repairs() {
    let (_directory, library) = library();
    let unknown = ModelId::from([7; 32]);
    assert!(matches!(
        library.get(&unknown),
        Err(LibraryError::Unknown(_))
    ));
    assert!(matches!(
        library.add(b"no model", "mine"),
        Err(LibraryError::Load(_))
    ));
    let added = library.add(&variant(1), "mine").unwrap();
    fs::write(library.model_path(&added.id), variant(2)).unwrap();
    assert!(matches!(
        library.get(&added.id),
        Err(LibraryError::Damaged(_))
    ));
    library.add(&variant(1), "mine").unwrap();
    library.get(&added.id).unwrap();
    fs::write(library.manifest_path(&added.id), b"{}").unwrap();
    assert!(matches!(library.list(), Err(LibraryError::Manifest { .. })));
}

#[test]
fn memory_holds_few_models_and_files_of_others_are_ignored() {
    let (_directory, library) = library();
    fs::write(library.directory.join("note.json"), b"{}").unwrap();
    fs::write(library.directory.join("half.onnx.tmp"), b"").unwrap();
    let ids: Vec<ModelId> = (0..=MAX_LOADED_MODELS as u8)
        .map(|number| {
            library
                .add(&variant(number), &format!("m{number}"))
                .unwrap()
                .id
        })
        .collect();
    for id in &ids {
        library.get(id).unwrap();
        library.get(&ids[0]).unwrap();
    }
    let loaded = library.loaded();
    assert_eq!(loaded.models.len(), MAX_LOADED_MODELS);
    assert!(loaded.models.contains_key(&ids[0]), "the one in use stays");
    assert!(
        !loaded.models.contains_key(&ids[1]),
        "the one unused for longest goes"
    );
}
