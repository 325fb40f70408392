//! Files of models: what kind one is, and reading and writing them whole or not at all.

use super::{LibraryError, at};
use crate::{onnx::LoadError, relay};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
};
use tempfile::NamedTempFile;

/// What a model file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An integer program.
    Program,
    /// An ONNX graph.
    Onnx,
    /// Whom to ask.
    Relay,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 3] = [Self::Program, Self::Onnx, Self::Relay];

    /// What follows the id in the name of a file of this kind.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Program => "og",
            Self::Onnx => "onnx",
            Self::Relay => "relay",
        }
    }

    /// The kind of a file, by how it begins.
    pub(super) fn of(file: &Path) -> Result<Self, LibraryError> {
        let mut beginning = [0; og_program::file::MAGIC.len()];
        let opened = fs::File::open(file).map_err(at(file))?;
        let read = opened.take(beginning.len() as u64).read(&mut beginning);
        read.map_err(at(file))?;
        Ok(match beginning {
            og_program::file::MAGIC => Self::Program,
            relay::MAGIC => Self::Relay,
            _ => Self::Onnx,
        })
    }
}

/// The bytes of a file, `None` if there is no such file.
pub(super) fn read_bounded(path: &Path, maximum: usize) -> Result<Option<Vec<u8>>, LibraryError> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(at(path))?,
    };
    let mut bytes = Vec::new();
    file.take(maximum as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    if bytes.len() > maximum {
        return Err(LoadError::TooLarge(bytes.len()).into());
    }
    Ok(Some(bytes))
}

/// Writes a file that others see whole or not at all, also after a crash.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LibraryError> {
    whole(path, |file| file.write_all(bytes))
}

/// Copies a file, which others see whole or not at all, also after a crash.
pub(super) fn copy_whole(from: &Path, to: &Path) -> Result<(), LibraryError> {
    let mut source = fs::File::open(from).map_err(at(from))?;
    whole(to, |file| io::copy(&mut source, file).map(drop))
}

fn whole(
    path: &Path,
    fill: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> Result<(), LibraryError> {
    let write = || {
        let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        fill(&mut file)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(at(path))
}
