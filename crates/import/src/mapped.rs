//! Files as bytes without reading them whole.

use std::{fs::File, io, ops::Deref, path::Path};

/// A file mapped into memory.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a file, which must not change while it is read.
    ///
    /// # Errors
    /// What the system says.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is read-only and private to this process. Whoever changes or truncates the file while it is
        // being converted gets other weights or ends the process by a signal; no memory of ours is at stake.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
