//! Model files by content hash in a directory, and the ones in use in memory.
//!
//! A model is two files: `<id>.onnx`, whose SHA-256 is the id, and `<id>.json`, its manifest
//! (see `docs/formats/model.md`). Several processes may share a directory: nothing of it is held
//! in memory but loaded models, so a model that another process adds is found at the next use.

use crate::{
    backend::Backend,
    onnx::{LoadError, MAX_MODEL_BYTES, OnnxFloat},
};
use og_types::{ModelId, ModelInfo};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tempfile::NamedTempFile;

/// The built-in model: handwritten digits (see `models/digits/README.md`).
pub const DIGITS: &[u8] = include_bytes!("../../../models/digits/digits.onnx");
/// The built-in model's name.
const DIGITS_NAME: &str = "digits";

/// Most models that one directory may hold.
pub const MAX_MODELS: usize = 1024;
/// Most models kept in memory; the one that was used least recently makes way.
pub const MAX_LOADED_MODELS: usize = 8;
/// Longest name of a model, in bytes.
pub const MODEL_NAME_BYTES: usize = 64;
/// Largest manifest read, in bytes.
const MAX_MANIFEST_BYTES: usize = 256 * 1024;

/// Why a model could not be added or found.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The directory or a file in it cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is not a model that can be run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A name that a model may not have.
    #[error(
        "{0:?} is not a name for a model: use 1 to {MODEL_NAME_BYTES} of a-z, 0-9, '.', '_' and \
         '-', beginning with a letter"
    )]
    Name(String),
    /// Another model has the name.
    #[error("the name {name:?} is taken by model {id}: choose another")]
    NameTaken {
        /// The name.
        name: String,
        /// The model that has it.
        id: ModelId,
    },
    /// The directory holds as many models as it may.
    #[error("the library holds {MAX_MODELS} models, which is the most: remove some first")]
    Full,
    /// No such model here.
    #[error("no model {0:?} here: `og model list` shows those there are, `og model add` adds one")]
    Unknown(String),
    /// The file is not the one that its name says.
    #[error("{}: the file's SHA-256 is not its name: it was damaged, add it again", .0.display())]
    Damaged(PathBuf),
    /// The manifest is not one.
    #[error("{}: not a manifest: {reason}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The models that a node can run.
pub struct Library {
    directory: PathBuf,
    digits: (ModelInfo, Arc<dyn Backend>),
    loaded: Mutex<Loaded>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({})", self.directory.display())
    }
}

/// Models in memory, each with the number of its last use.
#[derive(Default)]
struct Loaded {
    uses: u64,
    models: BTreeMap<ModelId, (u64, Arc<dyn Backend>)>,
}

impl Loaded {
    fn get(&mut self, id: &ModelId) -> Option<Arc<dyn Backend>> {
        self.uses += 1;
        let (last_use, model) = self.models.get_mut(id)?;
        *last_use = self.uses;
        Some(model.clone())
    }

    fn insert(&mut self, id: ModelId, model: Arc<dyn Backend>) {
        self.uses += 1;
        self.models.insert(id, (self.uses, model));
        while self.models.len() > MAX_LOADED_MODELS {
            let oldest = self
                .models
                .iter()
                .min_by_key(|(_, (last_use, _))| *last_use);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                return;
            };
            self.models.remove(&oldest);
        }
    }
}

impl Library {
    /// Opens a directory of models, which is made if it is not there.
    ///
    /// # Errors
    /// [`LibraryError::Io`] if it cannot be made.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, LibraryError> {
        let directory = directory.into();
        fs::create_dir_all(&directory).map_err(at(&directory))?;
        let digits = OnnxFloat::load(DIGITS)?;
        let info = describe(og_crypto::model_id(DIGITS), DIGITS_NAME, &digits);
        Ok(Self {
            directory,
            digits: (info, Arc::new(digits)),
            loaded: Mutex::default(),
        })
    }

    /// Adds an ONNX file under a name for people; adding a model again renames it (the built-in
    /// one keeps its name).
    ///
    /// The files appear whole or not at all, the manifest last.
    ///
    /// # Errors
    /// [`LibraryError`] if it cannot be run, the name is unfit or taken, or the disk fails.
    pub fn add(&self, file: &[u8], name: &str) -> Result<ModelInfo, LibraryError> {
        check_name(name)?;
        let model = OnnxFloat::load(file)?;
        let info = describe(og_crypto::model_id(file), name, &model);
        if info.id == self.digits.0.id {
            return Ok(self.digits.0.clone());
        }
        let models = self.list()?;
        let same_name = models.iter().find(|other| other.name == name);
        if let Some(other) = same_name.filter(|other| other.id != info.id) {
            return Err(LibraryError::NameTaken {
                name: name.to_owned(),
                id: other.id,
            });
        }
        if models.len() >= MAX_MODELS && !models.iter().any(|other| other.id == info.id) {
            return Err(LibraryError::Full);
        }
        let manifest =
            serde_json::to_vec_pretty(&info).map_err(|error| LibraryError::Manifest {
                path: self.manifest_path(&info.id),
                reason: error.to_string(),
            })?;
        write_whole(&self.model_path(&info.id), file)?;
        write_whole(&self.manifest_path(&info.id), &manifest)?;
        Ok(info)
    }

    /// The models, the built-in one first, then by id.
    ///
    /// # Errors
    /// [`LibraryError`] if the directory or a manifest in it cannot be read.
    pub fn list(&self) -> Result<Vec<ModelInfo>, LibraryError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(at(&self.directory))? {
            let path = entry.map_err(at(&self.directory))?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(Ok(id)) = id.map(str::parse::<ModelId>)
                && path == self.manifest_path(&id)
                && id != self.digits.0.id
            {
                ids.push(id);
            }
            if ids.len() > MAX_MODELS {
                return Err(LibraryError::Full);
            }
        }
        ids.sort();
        let mut models = vec![self.digits.0.clone()];
        for id in ids {
            models.push(self.manifest(&id)?);
        }
        Ok(models)
    }

    /// The model that a person means by a name, or by an id in hexadecimal.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`] if there is none.
    pub fn resolve(&self, name_or_id: &str) -> Result<ModelInfo, LibraryError> {
        let id = name_or_id.parse::<ModelId>().ok();
        self.list()?
            .into_iter()
            .find(|model| Some(model.id) == id || model.name == name_or_id)
            .ok_or_else(|| LibraryError::Unknown(name_or_id.to_owned()))
    }

    /// The model with this id, loaded from the directory where it is not in memory.
    ///
    /// Blocks while it loads.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`] if it is not here, [`LibraryError::Damaged`] if its file is not
    /// the one that the id names.
    pub fn get(&self, id: &ModelId) -> Result<Arc<dyn Backend>, LibraryError> {
        if *id == self.digits.0.id {
            return Ok(self.digits.1.clone());
        }
        if let Some(model) = self.loaded().get(id) {
            return Ok(model);
        }
        let path = self.model_path(id);
        let Some(file) = read_bounded(&path, MAX_MODEL_BYTES)? else {
            return Err(LibraryError::Unknown(id.to_string()));
        };
        if og_crypto::model_id(&file) != *id {
            return Err(LibraryError::Damaged(path));
        }
        let model: Arc<dyn Backend> = Arc::new(OnnxFloat::load(&file)?);
        self.loaded().insert(*id, model.clone());
        Ok(model)
    }

    /// The models in memory. They are valid after a panic: each change is one call.
    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn model_path(&self, id: &ModelId) -> PathBuf {
        self.directory.join(format!("{id}.onnx"))
    }

    fn manifest_path(&self, id: &ModelId) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }

    fn manifest(&self, id: &ModelId) -> Result<ModelInfo, LibraryError> {
        let path = self.manifest_path(id);
        let bytes = read_bounded(&path, MAX_MANIFEST_BYTES)?
            .ok_or_else(|| LibraryError::Unknown(id.to_string()))?;
        let failed = |reason: String| LibraryError::Manifest {
            path: path.clone(),
            reason,
        };
        let info: ModelInfo =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if info.id != *id {
            return Err(failed(format!("it is about model {}", info.id)));
        }
        Ok(info)
    }
}

fn describe(id: ModelId, name: &str, model: &OnnxFloat) -> ModelInfo {
    ModelInfo {
        id,
        name: name.to_owned(),
        computed: model.computed(),
        description: model.describe().clone(),
    }
}

fn check_name(name: &str) -> Result<(), LibraryError> {
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
    let good = name.len() <= MODEL_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(fit)
        && name.parse::<ModelId>().is_err();
    good.then_some(())
        .ok_or_else(|| LibraryError::Name(name.to_owned()))
}

/// Adds the path to an error of the system.
fn at(path: &Path) -> impl Fn(io::Error) -> LibraryError {
    let path = path.to_owned();
    move |error| LibraryError::Io {
        path: path.clone(),
        error,
    }
}

/// The bytes of a file, `None` if there is no such file.
fn read_bounded(path: &Path, maximum: usize) -> Result<Option<Vec<u8>>, LibraryError> {
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
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LibraryError> {
    let write = || {
        let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(at(path))
}

#[cfg(test)]
mod tests;
