//! How the last use of a journal ended: in good order, with its process, or with the machine.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

/// The file that tells.
const FILE: &str = "state";
/// What it begins with after a use that ended in good order; the newest file's number and length follow.
const CLOSED: &str = "closed";
/// What it has while the journal is used, where the system does not tell one start of the machine from another.
const UNKNOWN: &str = "unknown";
/// Where Linux names the present start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How the last use of a journal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was never used.
    New,
    /// In good order: all entries are here.
    Orderly,
    /// Its process ended unexpectedly, and the machine did not: all entries are here.
    ProcessDied,
    /// The machine ended unexpectedly, or nobody can tell that it did not: the newest entries may be missing.
    MachineDied,
}

/// The newest file after a use that ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Its number.
    pub(crate) newest: u32,
    /// Its length.
    pub(crate) bytes: u32,
}

impl Closed {
    fn write(self) -> String {
        format!("{CLOSED} {:08x} {}", self.newest, self.bytes)
    }

    fn read(text: &str) -> Option<Self> {
        let (newest, bytes) = text.strip_prefix(CLOSED)?.trim_start().split_once(' ')?;
        Some(Self {
            newest: u32::from_str_radix(newest, 16).ok()?,
            bytes: bytes.parse().ok()?,
        })
    }
}

/// Says how the last use of the journal in `folder` ended, and what it left if it ended in good order.
pub(crate) fn last(folder: &Path) -> io::Result<(Ended, Option<Closed>)> {
    let text = match fs::read_to_string(folder.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Ended::New, None)),
        Err(error) => return Err(error),
    };
    Ok(match Closed::read(&text) {
        Some(closed) => (Ended::Orderly, Some(closed)),
        None if text == boot() && text != UNKNOWN => (Ended::ProcessDied, None),
        None => (Ended::MachineDied, None),
    })
}

/// Notes that the journal is used from now on.
pub(crate) fn begin(folder: &Path) -> io::Result<()> {
    note(folder, &boot())
}

/// Notes that the use ended in good order. All entries must be on disk.
pub(crate) fn end(folder: &Path, closed: Closed) -> io::Result<()> {
    note(folder, &closed.write())
}

/// What names the present start of the machine.
fn boot() -> String {
    let boot = fs::read_to_string(BOOT_ID).unwrap_or_else(|_| UNKNOWN.to_owned());
    boot.trim().to_owned()
}

/// Replaces the file in one step, on disk when this returns.
fn note(folder: &Path, text: &str) -> io::Result<()> {
    let next = folder.join("state.next");
    let mut file = File::create(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, folder.join(FILE))?;
    sync_folder(folder)
}

/// Waits until the names in `folder` are on disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_use_learns_how_the_last_ended() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(last(folder).unwrap(), (Ended::New, None));
        begin(folder).unwrap();
        assert_eq!(last(folder).unwrap(), (Ended::ProcessDied, None));
        let closed = Closed {
            newest: 0x1f,
            bytes: 300,
        };
        end(folder, closed).unwrap();
        assert_eq!(last(folder).unwrap(), (Ended::Orderly, Some(closed)));
        for other in ["another start of the machine", "", "closed", "closed 1"] {
            fs::write(folder.join(FILE), other).unwrap();
            assert_eq!(last(folder).unwrap(), (Ended::MachineDied, None), "{other}");
        }
    }
}
