//! A folder of files that are appended to, and forgotten when nothing in them is of interest any more.

use crate::{
    ended::{self, Closed, Ended, sync_folder},
    error::JournalError,
    segment::{HEADER_BYTES, MAGIC, OVERHEAD_BYTES, Segment, frame},
    syncing::Syncing,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How the names of files end.
const EXTENSION: &str = "journal";

/// The maxima of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one entry.
    pub entry_bytes: u32,
    /// Bytes of a file, after which the next is begun; a longer entry gets one of its own.
    pub segment_bytes: u32,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    segment: u32,
    offset: u32,
    length: u32,
}

impl Place {
    /// Bytes of the entry.
    pub const fn length(&self) -> u32 {
        self.length
    }
}

/// Entries in files. Threads share it; one process at a time may.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    limits: Limits,
    files: Mutex<Files>,
    /// `None` only while it is dropped.
    syncing: Option<Syncing>,
    /// Locked for as long as the journal is used.
    _lock: File,
}

/// The files that there are.
#[derive(Debug)]
struct Files {
    /// By number.
    all: BTreeMap<u32, Counted>,
    /// Number of the one that is appended to.
    newest: u32,
    /// Bytes of that one.
    bytes: u32,
    /// Why the last entry could not be appended, if it could not.
    refused: Option<JournalError>,
}

/// A file, and how many of its entries are of interest.
#[derive(Debug)]
struct Counted {
    file: Arc<File>,
    entries: u64,
}

impl Journal {
    /// Opens the journal in `folder`, or begins one there. `each` gets the entries, oldest first; the caller
    /// [forgets](Self::forget) those that are done with. Says how the last use ended.
    ///
    /// What the last use did not complete is cut off; that its process left anything incomplete counts as
    /// [`Ended::MachineDied`], for a process alone does so hardly ever.
    ///
    /// # Errors
    /// [`JournalError`]; [`JournalError::Damaged`] also if files are shorter than the last use left them in good order.
    pub fn open(
        folder: &Path,
        limits: Limits,
        mut each: impl FnMut(Place, &[u8]),
    ) -> Result<(Self, Ended), JournalError> {
        fs::create_dir_all(folder)?;
        let lock = lock(folder)?;
        let (mut ended, closed) = ended::last(folder)?;
        let numbers = numbers(folder)?;
        if ended == Ended::New && !numbers.is_empty() {
            // The file that would tell is gone.
            ended = Ended::MachineDied;
        }
        let newest = numbers.last().copied().unwrap_or_default();
        let mut files = Files {
            all: BTreeMap::new(),
            newest,
            bytes: 0,
            refused: None,
        };
        for number in numbers {
            let path = path(folder, number);
            let read = read_file(&path, limits)?;
            files.bytes = files.load(number, &path, &read, limits, &mut each)?;
            let is_whole = files.bytes as usize == read.len() && files.bytes > 0;
            if !is_whole && (number != newest || ended == Ended::Orderly) {
                let intact_bytes = files.bytes.into();
                return Err(JournalError::Damaged { path, intact_bytes });
            }
            if !is_whole {
                ended = Ended::MachineDied;
            }
        }
        let bytes = files.bytes;
        if closed.is_some_and(|closed| closed != Closed { newest, bytes }) {
            return Err(JournalError::Damaged {
                path: path(folder, newest),
                intact_bytes: bytes.into(),
            });
        }
        ended::begin(folder)?;
        match files.all.get(&newest) {
            // Also a file whose header was not completed.
            Some(last) if bytes == 0 => files.bytes = begin(&last.file)?,
            Some(last) => last.file.set_len(bytes.into())?,
            None => files.add(folder, newest)?,
        }
        let journal = Self {
            folder: folder.to_owned(),
            limits,
            files: Mutex::new(files),
            syncing: Some(Syncing::start()?),
            _lock: lock,
        };
        Ok((journal, ended))
    }

    /// Appends an entry. When this returns, the system has it, and a process that ends loses nothing.
    ///
    /// # Errors
    /// [`JournalError::TooLong`], [`JournalError::Disk`]; the entry is then not in the journal. After a disk was full, entries are
    /// appended again as soon as there is room.
    pub fn append(&self, entry: &[u8]) -> Result<Place, JournalError> {
        let maximum = self.limits.entry_bytes;
        let too_long = || JournalError::TooLong {
            bytes: entry.len(),
            maximum,
        };
        let length = u32::try_from(entry.len()).map_err(|_| too_long())?;
        if length > maximum {
            return Err(too_long());
        }
        let framed = frame(entry).ok_or_else(too_long)?;
        self.check_synced()?;
        let mut files = self.files.lock();
        let appended = self.append_framed(&mut files, &framed, length);
        files.refused = appended.clone().err();
        appended
    }

    fn append_framed(
        &self,
        files: &mut Files,
        framed: &[u8],
        length: u32,
    ) -> Result<Place, JournalError> {
        let end = |bytes: u32| bytes.checked_add(OVERHEAD_BYTES)?.checked_add(length);
        let is_begun = files.bytes > HEADER_BYTES;
        if is_begun && end(files.bytes).is_none_or(|end| end > self.limits.segment_bytes) {
            self.next_file(files)?;
        }
        let end = end(files.bytes).ok_or_else(lost)?;
        let counted = files.all.get_mut(&files.newest).ok_or_else(lost)?;
        // What a failed write leaves behind is overwritten by the next.
        counted.file.write_all_at(framed, files.bytes.into())?;
        counted.entries += 1;
        files.bytes = end;
        if let Some(syncing) = &self.syncing {
            syncing.appended(&counted.file);
        }
        Ok(Place {
            segment: files.newest,
            offset: end - length,
            length,
        })
    }

    /// Completes the newest file on disk and begins another, so that only the newest can ever be torn.
    fn next_file(&self, files: &mut Files) -> Result<(), JournalError> {
        files.trim()?;
        let last = files.all.get(&files.newest).ok_or_else(lost)?;
        if let Some(syncing) = &self.syncing {
            syncing.finish(&last.file).map_err(JournalError::Disk)?;
        }
        let is_idle = last.entries == 0;
        let number = files.newest.checked_add(1).ok_or_else(lost)?;
        let old = files.newest;
        files.add(&self.folder, number)?;
        if is_idle {
            self.remove(files, old);
        }
        Ok(())
    }

    /// The bytes of an entry that was not forgotten.
    ///
    /// # Errors
    /// [`JournalError::Disk`], also if it was forgotten.
    pub fn read(&self, place: Place) -> Result<Vec<u8>, JournalError> {
        let file = {
            let files = self.files.lock();
            let counted = files.all.get(&place.segment).ok_or_else(lost)?;
            counted.file.clone()
        };
        let mut bytes = vec![0; place.length as usize];
        file.read_exact_at(&mut bytes, place.offset.into())?;
        Ok(bytes)
    }

    /// Forgets an entry, once. A file goes when all its entries are forgotten and it is not the newest; until then an entry
    /// may come back when the journal is opened again.
    pub fn forget(&self, place: Place) {
        let mut files = self.files.lock();
        let newest = files.newest;
        let Some(counted) = files.all.get_mut(&place.segment) else {
            return;
        };
        counted.entries = counted.entries.saturating_sub(1);
        if counted.entries == 0 && place.segment != newest {
            self.remove(&mut files, place.segment);
        }
    }

    fn remove(&self, files: &mut Files, number: u32) {
        files.all.remove(&number);
        // If it stays, its entries come back at the next opening, and are forgotten again.
        let _ = fs::remove_file(path(&self.folder, number));
    }

    /// Checks that the last entry was appended, and that entries reach the disk.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub fn check(&self) -> Result<(), JournalError> {
        self.check_synced()?;
        self.files.lock().refused.clone().map_or(Ok(()), Err)
    }

    fn check_synced(&self) -> Result<(), JournalError> {
        let syncing = self.syncing.as_ref();
        syncing.map_or(Ok(()), |syncing| {
            syncing.check().map_err(JournalError::Disk)
        })
    }
}

impl Drop for Journal {
    /// Ends the use in good order, if all is on disk.
    fn drop(&mut self) {
        let Some(syncing) = self.syncing.take() else {
            return;
        };
        let files = self.files.lock();
        let newest = files.all.get(&files.newest);
        let is_whole = files.trim().is_ok();
        if is_whole && newest.is_some_and(|last| syncing.finish(&last.file).is_ok()) {
            let closed = Closed {
                newest: files.newest,
                bytes: files.bytes,
            };
            // If it fails, the next use takes this one for one that ended unexpectedly, as it did.
            let _ = ended::end(&self.folder, closed);
        }
    }
}

impl Files {
    /// Takes in the file with this number, whose bytes are `read`; the bytes of it that are intact.
    fn load(
        &mut self,
        number: u32,
        path: &Path,
        read: &[u8],
        limits: Limits,
        each: &mut impl FnMut(Place, &[u8]),
    ) -> Result<u32, JournalError> {
        let foreign = || JournalError::Foreign(path.to_owned());
        let segment = Segment::read(read, limits.entry_bytes).ok_or_else(foreign)?;
        let bytes = u32::try_from(segment.intact_bytes).map_err(|_| foreign())?;
        for range in &segment.entries {
            let place = Place {
                segment: number,
                // Both are within the file's length, which fits.
                offset: u32::try_from(range.start).unwrap_or(bytes),
                length: u32::try_from(range.len()).unwrap_or(bytes),
            };
            each(place, read.get(range.clone()).unwrap_or_default());
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let counted = Counted {
            file: Arc::new(file),
            entries: segment.entries.len() as u64,
        };
        self.all.insert(number, counted);
        Ok(bytes)
    }

    /// Cuts off what a failed write may have left behind the last entry.
    fn trim(&self) -> io::Result<()> {
        match self.all.get(&self.newest) {
            Some(last) => last.file.set_len(self.bytes.into()),
            None => Ok(()),
        }
    }

    /// Begins the file with this number.
    fn add(&mut self, folder: &Path, number: u32) -> Result<(), JournalError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true);
        let file = options.open(path(folder, number))?;
        self.bytes = begin(&file)?;
        sync_folder(folder)?;
        self.newest = number;
        let file = Arc::new(file);
        self.all.insert(number, Counted { file, entries: 0 });
        Ok(())
    }
}

/// Writes a file's header; the bytes that it then has.
fn begin(file: &File) -> io::Result<u32> {
    file.set_len(0)?;
    file.write_all_at(&MAGIC, 0)?;
    Ok(HEADER_BYTES)
}

/// The bytes of a file, which has no more than a file can have: a segment and a part of an entry that was never completed.
fn read_file(path: &Path, limits: Limits) -> Result<Vec<u8>, JournalError> {
    let longest_entry = u64::from(limits.entry_bytes) + u64::from(HEADER_BYTES + OVERHEAD_BYTES);
    if fs::metadata(path)?.len() > u64::from(limits.segment_bytes) + 2 * longest_entry {
        return Err(JournalError::Foreign(path.to_owned()));
    }
    Ok(fs::read(path)?)
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let file = File::create(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08x}.{EXTENSION}"))
}

/// Numbers of the files that there are, in order.
fn numbers(folder: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == EXTENSION)
        {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            numbers.extend(stem.and_then(|stem| u32::from_str_radix(stem, 16).ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// An entry was asked for that is not here.
fn lost() -> JournalError {
    io::Error::new(io::ErrorKind::NotFound, "no such entry in the journal").into()
}

#[cfg(test)]
mod tests;
