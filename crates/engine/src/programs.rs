//! Integer programs as models that answer requests: which kind of model one is, and how it is run.

use crate::{
    backend::Backend,
    embedding::EmbeddingModel,
    exact::{ExactTensors, Model, ModelError, Ready},
    language::LanguageModel,
};
use og_kernels::{Kernels, Path as KernelPath};
use og_types::ModelId;
use std::{path::Path, sync::Arc};

/// How programs are run. Nothing here changes a bit of any answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunSettings {
    /// Threads; as many as the machine has cores if `None`.
    pub threads: Option<usize>,
    /// Which kernels; the fastest that the processor has if `None`.
    pub path: Option<KernelPath>,
}

impl RunSettings {
    /// Threads to use, at least 1.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores).max(1)
    }

    /// The kernels to use.
    ///
    /// # Errors
    /// [`ModelError::Kernels`] if the processor lacks the instructions that were asked for.
    pub fn kernels(&self) -> Result<Kernels, ModelError> {
        Ok(match self.path {
            None => Kernels::best(),
            Some(path) => Kernels::new(path)?,
        })
    }
}

/// Loads a model file; its id, and what runs it.
///
/// # Errors
/// [`ModelError`] if it cannot be read, is no model, is damaged, or its tokenizer or template cannot be used.
pub fn from_file(
    file: &Path,
    settings: RunSettings,
) -> Result<(ModelId, Arc<dyn Backend>), ModelError> {
    identified(Model::load(file)?, settings)
}

/// Loads a model that is in memory as a file.
///
/// # Errors
/// As [`from_file`].
pub fn from_bytes(
    file: &[u8],
    settings: RunSettings,
) -> Result<(ModelId, Arc<dyn Backend>), ModelError> {
    identified(Model::from_bytes(file)?, settings)
}

fn identified(
    model: Model,
    settings: RunSettings,
) -> Result<(ModelId, Arc<dyn Backend>), ModelError> {
    let id = ModelId::from(model.id());
    Ok((id, backend(Arc::new(model), settings)?))
}

/// What answers requests with a model.
///
/// # Errors
/// [`ModelError`] if its tokenizer or template cannot be used, it has inputs that no request can give, or the processor lacks
/// the instructions that were asked for.
pub fn backend(model: Arc<Model>, settings: RunSettings) -> Result<Arc<dyn Backend>, ModelError> {
    let kernels = settings.kernels()?;
    Ok(match model.text() {
        Some(assets) => {
            let ready = Arc::new(Ready::new(model.clone(), kernels)?);
            match assets.pooling {
                Some(pooling) => Arc::new(EmbeddingModel::new(ready, assets, pooling, settings)?),
                None => Arc::new(LanguageModel::new(ready, settings)?),
            }
        }
        None => Arc::new(ExactTensors::with_kernels(model, kernels)?),
    })
}
