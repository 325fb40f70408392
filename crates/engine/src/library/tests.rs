//! Tests of the library: what is added is found, by every process, unless it was damaged.

use super::*;
use og_types::Computed;

const DIGITS_ONNX: &[u8] = include_bytes!("../../../../models/digits/digits.onnx");

/// The bytes of an ONNX file of another id that is the same model: protobuf ignores fields it does not know.
fn variant_bytes(number: u8) -> Vec<u8> {
    // Field 1000, of type varint.
    [DIGITS_ONNX, &[0xc0, 0x3e, number]].concat()
}

/// Such a file, beside the library's directory.
fn variant(library: &Library, number: u8) -> PathBuf {
    write(library, &format!("{number}.onnx"), &variant_bytes(number))
}

fn write(library: &Library, name: &str, bytes: &[u8]) -> PathBuf {
    let path = library.directory.parent().unwrap().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn built_in(name: &str) -> BuiltIn {
    *BUILT_IN.iter().find(|model| model.name == name).unwrap()
}

fn library() -> (tempfile::TempDir, Library) {
    let directory = tempfile::tempdir().unwrap();
    let library = Library::open(directory.path().join("models")).unwrap();
    (directory, library)
}

#[test]
fn the_built_in_models_are_there_are_exact_and_keep_their_names() {
    let (_directory, library) = library();
    let models = library.list().unwrap();
    assert_eq!(models.len(), BUILT_IN.len());
    for (info, model) in models.iter().zip(BUILT_IN) {
        assert_eq!(info.name, model.name);
        assert_eq!(info.id, model.id().unwrap());
        assert_eq!(info.computed, Computed::Exact);
        assert_eq!(library.resolve(&info.id.to_string()).unwrap(), *info);
        let file = write(&library, "again.og", model.file);
        assert_eq!(library.add(&file, "other").unwrap(), *info);
        let description = library.get(&info.id).unwrap().describe().clone();
        assert_eq!(description, info.description);
    }
    assert_eq!(library.list().unwrap(), models);
}

#[test]
fn a_program_that_is_damaged_is_named() {
    let (_directory, library) = library();
    let digits = built_in("digits");
    let mut bytes = digits.file.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let file = write(&library, "damaged.og", &bytes);
    let error = library.add(&file, "mine").unwrap_err();
    assert!(matches!(error, LibraryError::Program(_)), "{error}");
    let cut = write(&library, "cut.og", &digits.file[..digits.file.len() / 2]);
    let error = library.add(&cut, "mine").unwrap_err();
    assert!(matches!(error, LibraryError::Program(_)), "{error}");
}

#[test]
fn what_one_process_adds_another_finds() {
    let (_directory, library) = library();
    let other = Library::open(&library.directory).unwrap();
    let added = library.add(&variant(&library, 1), "mine").unwrap();
    assert_eq!(other.resolve("mine").unwrap(), added);
    assert_eq!(other.list().unwrap().len(), BUILT_IN.len() + 1);
    other.get(&added.id).unwrap();
    let renamed = other.add(&variant(&library, 1), "yours").unwrap();
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
    library.add(&variant(&library, 1), "mine").unwrap();
    for taken in ["mine", "digits"] {
        let error = library.add(&variant(&library, 2), taken).unwrap_err();
        assert!(matches!(error, LibraryError::NameTaken { .. }), "{error}");
    }
    let id = "ab".repeat(32);
    for unfit in ["", "1st", "A", "a/b", "../a", "é", &"a".repeat(65), &id] {
        let error = library.add(&variant(&library, 2), unfit).unwrap_err();
        assert!(matches!(error, LibraryError::Name(_)), "{unfit}: {error}");
    }
    assert_eq!(library.list().unwrap().len(), BUILT_IN.len() + 1);
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
        library.add(&write(&library, "none", b"no model"), "mine"),
        Err(LibraryError::Onnx(_))
    ));
    let added = library.add(&variant(&library, 1), "mine").unwrap();
    fs::write(library.model_path(&added.id, Kind::Onnx), variant_bytes(2)).unwrap();
    assert!(matches!(
        library.get(&added.id),
        Err(LibraryError::Damaged(_))
    ));
    library.add(&variant(&library, 1), "mine").unwrap();
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
                .add(&variant(&library, number), &format!("m{number}"))
                .unwrap()
                .id
        })
        .collect();
    for id in &ids {
        library.get(id).unwrap();
        library.get(&ids[0]).unwrap();
    }
    let loaded = library.loaded.lock();
    assert_eq!(loaded.models.len(), MAX_LOADED_MODELS);
    assert!(loaded.models.contains_key(&ids[0]), "the one in use stays");
    assert!(
        !loaded.models.contains_key(&ids[1]),
        "the one unused for longest goes"
    );
}
