//! Writing model files: the header, then each matrix as it is ready.

use super::{
    ALIGNMENT, FORMAT_VERSION, FileError, MAGIC, MAX_MANIFEST_BYTES, Manifest, PREFIX_BYTES,
    at_most, check_items, check_matrix, sections,
};
use sha2::{Digest, Sha256};
use std::io::Write;

/// A model file that is being written: its matrices are given one by one, in the program's order.
pub struct Writer<'a, W> {
    manifest: &'a Manifest,
    out: W,
    written: usize,
    id: [u8; 32],
}

impl<'a, W: Write> Writer<'a, W> {
    /// Writes the header. The manifest is complete: it says the hash of each matrix ([`super::describe`]).
    ///
    /// # Errors
    /// [`FileError`] if the manifest is none that could be read back, or nothing can be written.
    pub fn new(manifest: &'a Manifest, mut out: W) -> Result<Self, FileError> {
        manifest.program.check()?;
        let encoded = manifest.encode_canonical();
        at_most("manifest", encoded.len() as u64, MAX_MANIFEST_BYTES as u64)?;
        check_items(&encoded)?;
        let mut header = Vec::with_capacity(PREFIX_BYTES + encoded.len() + ALIGNMENT as usize);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        header.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        header.extend_from_slice(&encoded);
        let id = Sha256::digest(&header).into();
        header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
        sections(&manifest.program, header.len() as u64)?;
        out.write_all(&header)?;
        Ok(Self {
            manifest,
            out,
            written: 0,
            id,
        })
    }

    /// Writes the bytes of the next matrix.
    ///
    /// # Errors
    /// [`FileError::Matrix`] if they are not those that the manifest describes; [`FileError::Count`] if all are written.
    pub fn matrix(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let expected = self.manifest.program.matrices.len();
        let matrix = self
            .manifest
            .program
            .matrices
            .get(self.written)
            .ok_or(FileError::Count {
                given: expected + 1,
                expected,
            })?;
        check_matrix(matrix, bytes)?;
        self.out.write_all(bytes)?;
        self.written += 1;
        Ok(())
    }

    /// Ends the file and gives the model's id.
    ///
    /// # Errors
    /// [`FileError::Count`] if matrices are missing.
    pub fn finish(mut self) -> Result<[u8; 32], FileError> {
        let expected = self.manifest.program.matrices.len();
        if self.written != expected {
            return Err(FileError::Count {
                given: self.written,
                expected,
            });
        }
        self.out.flush()?;
        Ok(self.id)
    }
}

/// Writes a whole model file and gives the model's id: SHA-256 of its prefix and manifest.
///
/// # Errors
/// As [`Writer`]'s functions.
pub fn write<'b>(
    manifest: &Manifest,
    matrices: impl IntoIterator<Item = &'b [u8]>,
    out: &mut impl Write,
) -> Result<[u8; 32], FileError> {
    let mut writer = Writer::new(manifest, out)?;
    for bytes in matrices {
        writer.matrix(bytes)?;
    }
    writer.finish()
}
