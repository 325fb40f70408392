//! A node's folder: of one chain and one node, used by one process, in a format that this version
//! knows.

use crate::files::read_at_most;
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Version of the folder's layout.
const FORMAT_VERSION: u16 = 2;
const IDENTITY_FILE: &str = "chain.json";
/// Longest identity file that is read, in bytes.
const MAX_IDENTITY_BYTES: u64 = 64 * 1024;
const LOCK_FILE: &str = "lock";
const TRIAL_FILE: &str = "trial";
/// What must fit on the disk for a node to start, in bytes.
const TRIAL_BYTES: usize = 64 * 1024;

/// What the folder belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    format_version: u16,
    genesis_hash: B256,
    /// Role and key of the node; version 1 did not say.
    owner: Option<String>,
}

/// Why a node cannot use its folder.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The folder holds another chain.
    #[error(
        "{} belongs to another chain: its genesis hash is {found}, yours is {expected}. \
         Point data_dir at another folder, or at the right genesis file", path.display()
    )]
    AnotherChain {
        /// The folder.
        path: PathBuf,
        /// Genesis hash of the configuration.
        expected: B256,
        /// Genesis hash of the folder.
        found: B256,
    },
    /// The folder is another node's: what it holds was promised with another key.
    #[error(
        "{} belongs to {found}, this is {expected}. \
         Point data_dir at this node's own folder, or use the keys of the other node", path.display()
    )]
    AnotherNode {
        /// The folder.
        path: PathBuf,
        /// Who opens it.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// The folder was written by a newer version.
    #[error(
        "{} has layout version {found}, this program knows {FORMAT_VERSION}: \
         use the program that wrote it, or a newer one", path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// Another process uses the folder.
    #[error("{} is in use by another process: stop that one first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The file that says what the folder belongs to cannot be understood.
    #[error(
        "{} is damaged ({reason}): restore it from a backup; or, if its folder is certainly this node's, \
         remove this one file, and it is written anew. Do not remove the folder: it holds what the node promised",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder cannot be read or written.
    #[error("cannot use {}: {source}. Check its permissions and the space on the disk", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A node's folder, locked for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens `path` for the chain with this genesis hash and for `owner`, which names the node by
    /// role and key. Creates the folder if there is none.
    ///
    /// # Errors
    /// [`DataDirError`] says what to do.
    pub fn open(path: &Path, genesis_hash: B256, owner: &str) -> Result<Self, DataDirError> {
        let at = |path: PathBuf| move |source| DataDirError::Io { path, source };
        fs::create_dir_all(path).map_err(at(path.to_owned()))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(at(lock_path.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(DataDirError::Io {
                    path: lock_path,
                    source,
                });
            }
        }
        try_writing(path)?;
        check_identity(
            path,
            Identity {
                format_version: FORMAT_VERSION,
                genesis_hash,
                owner: Some(owner.to_owned()),
            },
        )?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// A file or folder inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Writes something to the disk and takes it away again. The databases stop in many places when
/// they cannot write, not all of which keep what the system said.
///
/// # Errors
/// [`DataDirError::Io`] says it.
pub fn try_writing(directory: &Path) -> Result<(), DataDirError> {
    let path = directory.join(TRIAL_FILE);
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(&[0; TRIAL_BYTES])?;
        file.sync_all()
    };
    let written = write();
    let removed = fs::remove_file(&path);
    written
        .and(removed)
        .map_err(|source| DataDirError::Io { path, source })
}

fn check_identity(directory: &Path, expected: Identity) -> Result<(), DataDirError> {
    let path = directory.join(IDENTITY_FILE);
    let write = || {
        write_identity(&path, &expected).map_err(|source| DataDirError::Io {
            path: path.clone(),
            source,
        })
    };
    let text = match read_at_most(&path, MAX_IDENTITY_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return write(),
        Err(source) => return Err(DataDirError::Io { path, source }),
    };
    let identity: Identity =
        serde_json::from_slice(&text).map_err(|error| DataDirError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
    if identity.format_version > FORMAT_VERSION {
        return Err(DataDirError::NewerFormat {
            path: directory.to_owned(),
            found: identity.format_version,
        });
    }
    if identity.genesis_hash != expected.genesis_hash {
        return Err(DataDirError::AnotherChain {
            path: directory.to_owned(),
            expected: expected.genesis_hash,
            found: identity.genesis_hash,
        });
    }
    match identity.owner {
        None => write(),
        found if found == expected.owner => Ok(()),
        Some(found) => Err(DataDirError::AnotherNode {
            path: directory.to_owned(),
            expected: expected.owner.unwrap_or_default(),
            found,
        }),
    }
}

fn write_identity(path: &Path, identity: &Identity) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(identity)?)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}
