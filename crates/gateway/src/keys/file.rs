//! The file of keys, read again whenever it changes.

use super::{Gate, limits::Limits};
use crate::config::KEYS_PAUSE;
use alloy_primitives::hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs, io,
    net::IpAddr,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tokio::{task::spawn_blocking, time::sleep};

/// Most bytes of a file of keys.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of a key's name, which stands in logs.
const MAX_NAME_BYTES: usize = 64;

/// Who may ask, as a file says it: nobody, by default.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// What each address may use that brings no key; `None` if a key is needed.
    pub(crate) everybody: Option<Limits>,
    /// Whether this does not hold for programs on the same machine.
    spares_this_machine: bool,
    /// By the SHA-256 of the secret.
    pub(crate) by_hash: BTreeMap<[u8; 32], Arc<Key>>,
}

impl Keys {
    /// Without a file everybody may ask: other machines as much as `limits` say, programs on this one as they like.
    pub(crate) const fn without_file(limits: Limits) -> Self {
        Self {
            everybody: Some(limits),
            spares_this_machine: true,
            by_hash: BTreeMap::new(),
        }
    }

    /// What whoever asks from this address may use without a key; `None` if a key is needed.
    pub(crate) fn without_key(&self, client: IpAddr) -> Option<Limits> {
        let limits = self.everybody?;
        let is_spared = self.spares_this_machine && client.to_canonical().is_loopback();
        Some(if is_spared { Limits::default() } else { limits })
    }
}

/// An API key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    /// Names or ids of the models that it is for; `None` if it is for all.
    pub(crate) models: Option<BTreeSet<String>>,
}

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It cannot be read.
    #[error("the file of keys {path} cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It cannot be written.
    #[error("the file of keys {path} cannot be written: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is longer than a file of keys may be.
    #[error("the file of keys {0} is longer than {MAX_FILE_BYTES} bytes")]
    TooLong(PathBuf),
    /// It is not what a file of keys has to be; the text does not quote it.
    #[error("line {line} of the file of keys: {message}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A key in it cannot be used.
    #[error("the key {name:?}: {reason}")]
    Key {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The file as TOML has it. Unknown fields are errors: a limit with a typing mistake would be none.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    everybody: Option<Limits>,
    #[serde(default, rename = "key")]
    keys: Vec<KeyTable>,
}

/// A key, as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    pub(super) name: String,
    pub(super) sha256: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) models: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "is_without")]
    pub(super) limits: Limits,
}

fn is_without(limits: &Limits) -> bool {
    *limits == Limits::default()
}

/// The text of a file with this key alone, fit to be added to others.
///
/// # Errors
/// [`KeysError::Key`] if its name cannot be written.
pub(super) fn written(key: KeyTable) -> Result<String, KeysError> {
    let name = key.name.clone();
    let document = Document {
        everybody: None,
        keys: vec![key],
    };
    toml::to_string(&document).map_err(|_| KeysError::Key {
        name,
        reason: "it cannot be written in TOML",
    })
}

/// The SHA-256 of a secret.
pub(super) struct Hash(pub(super) [u8; 32]);

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        // The message must not repeat what stands there: it may be the secret itself.
        let reason = "the SHA-256 of a secret is 64 hexadecimal digits";
        let bytes = hex::decode(digits).map_err(|_| D::Error::custom(reason))?;
        let bytes = bytes.try_into().map_err(|_| D::Error::custom(reason))?;
        Ok(Self(bytes))
    }
}

impl Keys {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`KeysError`] says where it is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, KeysError> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or(text);
            KeysError::Malformed {
                line: before.matches('\n').count() + 1,
                message: error.message().to_owned(),
            }
        })?;
        let mut names = BTreeSet::new();
        let mut by_hash = BTreeMap::new();
        for key in document.keys {
            let (name, hash) = (key.name, key.sha256.0);
            let wrong = |reason| KeysError::Key {
                name: name.clone(),
                reason,
            };
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
                return Err(wrong("a name has 1 to 64 bytes and no control characters"));
            }
            if !names.insert(name.clone()) {
                return Err(wrong("another key has this name"));
            }
            if by_hash.contains_key(&hash) {
                return Err(wrong("another key has this secret"));
            }
            let (limits, models) = (key.limits, key.models);
            let key = Key {
                name,
                limits,
                models,
            };
            by_hash.insert(hash, Arc::new(key));
        }
        Ok(Self {
            everybody: document.everybody,
            spares_this_machine: false,
            by_hash,
        })
    }
}

/// A file of keys, and what stood in it when it was last looked at.
#[derive(Debug)]
pub(crate) struct KeysFile {
    path: PathBuf,
    /// `None` if it could not be read.
    last: Option<String>,
}

impl KeysFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`KeysError`].
    pub(crate) fn open(path: &Path) -> Result<(Self, Keys), KeysError> {
        let text = read(path)?;
        let keys = Keys::parse(&text)?;
        let file = Self {
            path: path.to_owned(),
            last: Some(text),
        };
        Ok((file, keys))
    }

    /// What the file says now; `None` if that is what it said when it was last looked at, so that each mistake is reported
    /// once.
    pub(crate) fn changed(&mut self) -> Option<Result<Keys, KeysError>> {
        let text = read(&self.path);
        let last = std::mem::replace(&mut self.last, text.as_ref().ok().cloned());
        if self.last == last {
            return None;
        }
        Some(text.and_then(|text| Keys::parse(&text)))
    }
}

/// Has `gate` follow what the operator writes into the file. What cannot be read changes nothing.
pub(crate) async fn follow(file: Option<KeysFile>, gate: &Gate) -> Infallible {
    let Some(mut file) = file else {
        return std::future::pending().await;
    };
    loop {
        sleep(KEYS_PAUSE).await;
        let looked = spawn_blocking(move || {
            let changed = file.changed();
            (file, changed)
        });
        let (same, changed) = match looked.await {
            Ok(looked) => looked,
            Err(error) => resume_unwind(error.into_panic()),
        };
        file = same;
        match changed {
            None => {}
            Some(Ok(keys)) => {
                tracing::info!(keys = keys.by_hash.len(), "the file of keys has changed");
                gate.change(keys, Instant::now());
            }
            Some(Err(error)) => tracing::error!(
                %error,
                "the file of keys has changed and cannot be used: the keys of before stay; mend it"
            ),
        }
    }
}

/// The text of a file.
///
/// # Errors
/// [`KeysError::Read`] or [`KeysError::TooLong`].
pub(super) fn read(path: &Path) -> Result<String, KeysError> {
    let failed = |error| KeysError::Read {
        path: path.to_owned(),
        error,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(KeysError::TooLong(path.to_owned()));
    }
    fs::read_to_string(path).map_err(failed)
}
