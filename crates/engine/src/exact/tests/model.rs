//! Model files: what is loaded is what was written, and damage is named.

use super::programs;
use crate::exact::{Model, ModelError};
use og_program::file::{FileError, write};
use std::io::Write as _;

fn file() -> (Model, Vec<u8>) {
    let model = programs::transformer(9, true);
    let count = model.program().matrices.len();
    let mut file = vec![];
    let id = write(
        model.manifest(),
        (0..count).map(|index| model.matrix_bytes(index)),
        &mut file,
    )
    .unwrap();
    assert_eq!(id, model.id());
    (model, file)
}

fn load(bytes: &[u8]) -> Result<Model, ModelError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let loaded = Model::load(file.path());
    let in_memory = Model::from_bytes(bytes);
    assert_eq!(loaded.is_ok(), in_memory.is_ok());
    loaded
}

#[test]
fn what_is_loaded_is_what_was_written() {
    let (model, file) = file();
    for loaded in [load(&file).unwrap(), Model::from_bytes(&file).unwrap()] {
        assert_eq!(
            (loaded.id(), loaded.manifest()),
            (model.id(), model.manifest())
        );
        for index in 0..model.program().matrices.len() {
            assert_eq!(loaded.matrix_bytes(index), model.matrix_bytes(index));
        }
    }
    assert!(
        model
            .matrix_bytes(model.program().matrices.len())
            .is_empty()
    );
}

#[test]
fn damaged_files_are_named() {
    let (model, file) = file();
    let mut flipped = file.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let last = model.program().matrices.len() - 1;
    assert!(matches!(load(&flipped), Err(ModelError::Matrix { index, .. }) if index == last));
    assert!(matches!(
        load(&file[..file.len() - 1]),
        Err(ModelError::Length { .. })
    ));
    let longer = [&file[..], &[0]].concat();
    assert!(matches!(load(&longer), Err(ModelError::Length { .. })));
    assert!(matches!(
        load(&file[..100]),
        Err(ModelError::File(FileError::Truncated { .. }))
    ));
    assert!(matches!(
        load(b"something else"),
        Err(ModelError::File(FileError::Magic))
    ));
    assert!(matches!(load(b""), Err(ModelError::File(FileError::Magic))));
    let missing = std::path::Path::new("no such file");
    assert!(matches!(Model::load(missing), Err(ModelError::Io { .. })));
}
