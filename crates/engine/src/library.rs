//! Model files by content hash in a directory, and the ones in use in memory.
//!
//! A model is two files: the model, named by its id (`<id>.og`, an integer program, `<id>.onnx`, run in floating
//! point, or `<id>.relay`, whom to ask), and `<id>.json`, its manifest (see `docs/formats/model.md`). Several processes may share a directory:
//! nothing of it is held in memory but loaded models, so a model that another process adds is found at the next use.

mod files;

use crate::{
    backend::Backend,
    exact::ModelError,
    onnx::{LoadError, OnnxFloat},
    programs::{self, RunSettings},
    relay::Relay,
};
use files::{Kind, copy_whole, read_bounded, write_whole};
use og_types::{ModelId, ModelInfo};
use og_upstream::{UpstreamAccess, UpstreamError};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A model that is part of this program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub file: &'static [u8],
}

impl BuiltIn {
    /// Its id, read from the header.
    ///
    /// # Errors
    /// [`ModelError`] if the file is no model.
    pub fn id(&self) -> Result<ModelId, ModelError> {
        Ok(ModelId::from(og_program::file::read_header(self.file)?.id))
    }
}

/// The built-in models: handwritten digits (`models/digits/README.md`) and a teller of short stories
/// (`models/story/README.md`).
pub const BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        name: "digits",
        file: include_bytes!("../../../models/digits/digits.og"),
    },
    BuiltIn {
        name: "story",
        file: include_bytes!("../../../models/story/story.og"),
    },
];

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
    /// The file is no ONNX model that can be run.
    #[error(transparent)]
    Onnx(#[from] LoadError),
    /// The file is no integer program that can be run.
    #[error(transparent)]
    Program(#[from] ModelError),
    /// The file names no service that can be asked.
    #[error(transparent)]
    Relay(#[from] UpstreamError),
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
    #[error("{}: the file is not the model that its name says: it was damaged, add it again", .0.display())]
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
    built_in: Vec<(ModelInfo, Arc<dyn Backend>)>,
    upstream_access: UpstreamAccess,
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
        let load = |model: BuiltIn| {
            let (id, backend) = programs::from_bytes(model.file, RunSettings::default())?;
            Ok((describe(id, model.name, &*backend), backend))
        };
        Ok(Self {
            directory,
            built_in: BUILT_IN
                .into_iter()
                .map(load)
                .collect::<Result<_, LibraryError>>()?,
            upstream_access: UpstreamAccess::default(),
            loaded: Mutex::default(),
        })
    }

    /// The same library, with what the node has for services that its models ask.
    #[must_use]
    pub fn with_upstream_access(mut self, access: UpstreamAccess) -> Self {
        self.upstream_access = access;
        self
    }

    /// Adds a model file under a name for people; adding a model again renames it (a built-in
    /// one keeps its name).
    ///
    /// The files appear whole or not at all, the manifest last.
    ///
    /// # Errors
    /// [`LibraryError`] if it cannot be run, the name is unfit or taken, or the disk fails.
    pub fn add(&self, file: &Path, name: &str) -> Result<ModelInfo, LibraryError> {
        check_name(name)?;
        let (kind, info) = inspect(file, name)?;
        if let Some((built_in, _)) = self.built_in(&info.id) {
            return Ok(built_in.clone());
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
        copy_whole(file, &self.model_path(&info.id, kind))?;
        write_whole(&self.manifest_path(&info.id), &manifest)?;
        Ok(info)
    }

    /// The models, the built-in ones first, then by id.
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
                && self.built_in(&id).is_none()
            {
                ids.push(id);
            }
            if ids.len() > MAX_MODELS {
                return Err(LibraryError::Full);
            }
        }
        ids.sort();
        let mut models: Vec<_> = self.built_in.iter().map(|(info, _)| info.clone()).collect();
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
    /// the one that its name says, others if it cannot be read or run.
    pub fn get(&self, id: &ModelId) -> Result<Arc<dyn Backend>, LibraryError> {
        if let Some(model) = self.get_loaded(id) {
            return Ok(model);
        }
        let (loaded_id, model) = self.load(id)?;
        if loaded_id != *id {
            return Err(LibraryError::Damaged(self.directory.join(id.to_string())));
        }
        self.loaded.lock().insert(*id, model.clone());
        Ok(model)
    }

    /// The model with this id, if it is in memory.
    pub fn get_loaded(&self, id: &ModelId) -> Option<Arc<dyn Backend>> {
        match self.built_in(id) {
            Some((_, backend)) => Some(backend.clone()),
            None => self.loaded.lock().get(id),
        }
    }

    fn built_in(&self, id: &ModelId) -> Option<&(ModelInfo, Arc<dyn Backend>)> {
        self.built_in.iter().find(|(info, _)| info.id == *id)
    }

    /// The file of a model, whatever its kind.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`] if there is none; a built-in model has none.
    pub fn file(&self, id: &ModelId) -> Result<PathBuf, LibraryError> {
        Kind::ALL
            .into_iter()
            .map(|kind| self.model_path(id, kind))
            .find(|path| path.is_file())
            .ok_or_else(|| LibraryError::Unknown(id.to_string()))
    }

    fn load(&self, id: &ModelId) -> Result<(ModelId, Arc<dyn Backend>), LibraryError> {
        load_with(&self.file(id)?, &self.upstream_access)
    }

    fn model_path(&self, id: &ModelId, kind: Kind) -> PathBuf {
        self.directory.join(format!("{id}.{}", kind.extension()))
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

/// Loads a model file, whatever its kind; its id, and what runs it.
///
/// # Errors
/// [`LibraryError`] if it cannot be read or run.
pub fn load(file: &Path) -> Result<(ModelId, Arc<dyn Backend>), LibraryError> {
    load_with(file, &UpstreamAccess::default())
}

fn load_with(
    file: &Path,
    upstream_access: &UpstreamAccess,
) -> Result<(ModelId, Arc<dyn Backend>), LibraryError> {
    let whole = |maximum| {
        let bytes = read_bounded(file, maximum)?;
        bytes.ok_or_else(|| LibraryError::Unknown(file.display().to_string()))
    };
    match Kind::of(file)? {
        Kind::Program => Ok(programs::from_file(file, RunSettings::default())?),
        Kind::Onnx => {
            let bytes = whole(crate::onnx::MAX_MODEL_BYTES)?;
            let id = og_crypto::model_id(&bytes);
            Ok((id, Arc::new(OnnxFloat::load(&bytes)?)))
        }
        Kind::Relay => {
            let bytes = whole(og_upstream::MAX_FILE_BYTES)?;
            let text = std::str::from_utf8(&bytes);
            let text = text.map_err(|error| UpstreamError::File(error.to_string()))?;
            let relay = Relay::new(text, upstream_access)?;
            Ok((og_crypto::model_id(&bytes), Arc::new(relay)))
        }
    }
}

/// What a model file holds, found by loading it: everything that can be wrong with it is found here.
fn inspect(file: &Path, name: &str) -> Result<(Kind, ModelInfo), LibraryError> {
    let kind = Kind::of(file)?;
    let (id, backend) = load(file)?;
    Ok((kind, describe(id, name, &*backend)))
}

fn describe(id: ModelId, name: &str, model: &dyn Backend) -> ModelInfo {
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

#[cfg(test)]
mod tests;
