//! A model in memory: its manifest, and its weights once, in large pages, checked while they are read.

use memmap2::{Advice, MmapMut};
use og_program::{
    file::{
        FileError, Header, Manifest, PREFIX_BYTES, TextAssets, check_matrix, header_bytes,
        read_header, write,
    },
    matrix::Weights,
    program::Program,
};
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{self, Read as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// Threads that read and check weights, at most.
const MAX_LOADING_THREADS: usize = 8;

/// Why a model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not a model, or damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// A matrix is damaged.
    #[error("matrix {index} of {count}: {error}")]
    Matrix {
        /// Which.
        index: usize,
        /// How many there are.
        count: usize,
        /// What is wrong with it.
        error: FileError,
    },
    /// The file has not the length that its header says.
    #[error("the model file has {have} bytes and its header says {need}: copy it again")]
    Length {
        /// Bytes that there are.
        have: u64,
        /// Bytes that there must be.
        need: u64,
    },
    /// The processor lacks the instructions that were asked for.
    #[error(transparent)]
    Kernels(#[from] og_kernels::Unavailable),
    /// A matrix cannot be prepared.
    #[error(transparent)]
    Linear(#[from] og_kernels::LinearError),
    /// What it needs to read and write text cannot be used.
    #[error("the model's text cannot be used: {0}")]
    Text(String),
    /// It takes or gives what no request or response can hold.
    #[error(transparent)]
    Interface(#[from] super::TensorsError),
    /// There is not as much memory.
    #[error("no memory for {bytes} bytes of weights: {error}")]
    Memory {
        /// Bytes of weights.
        bytes: usize,
        /// What the system says.
        error: io::Error,
    },
}

/// A checked model with its weights.
pub struct Model {
    manifest: Manifest,
    id: [u8; 32],
    weights: MmapMut,
    /// Where each matrix lies in `weights`.
    places: Vec<Range<usize>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({} bytes of weights)", self.weights.len())
    }
}

/// Reads bytes of a model file at an offset.
type ReadAt<'a> = dyn Fn(&mut [u8], u64) -> io::Result<()> + Sync + 'a;

impl Model {
    /// Loads a model file.
    ///
    /// # Errors
    /// [`ModelError`] if it cannot be read, is no model, or is damaged.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let at = |error| ModelError::Io {
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(at)?;
        let have = file.metadata().map_err(at)?.len();
        let mut prefix = vec![];
        (&file)
            .take(PREFIX_BYTES as u64)
            .read_to_end(&mut prefix)
            .map_err(at)?;
        let need = header_bytes(&prefix)? as u64;
        if need > have {
            return Err(FileError::Truncated { need, have }.into());
        }
        (&file)
            .take(need - prefix.len() as u64)
            .read_to_end(&mut prefix)
            .map_err(at)?;
        let header = read_header(&prefix)?;
        Self::read(
            header,
            have,
            &|bytes, offset| file.read_exact_at(bytes, offset),
            path,
        )
    }

    /// Loads a model that is in memory as a file, for example built into a program.
    ///
    /// # Errors
    /// [`ModelError`] if it is no model, or damaged.
    pub fn from_bytes(file: &[u8]) -> Result<Self, ModelError> {
        let header = read_header(file)?;
        let read = |bytes: &mut [u8], offset: u64| {
            let source = file
                .get(offset as usize..)
                .and_then(|rest| rest.get(..bytes.len()));
            bytes.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        };
        Self::read(header, file.len() as u64, &read, Path::new("in memory"))
    }

    /// A model of a manifest and the bytes of each of its matrices.
    ///
    /// # Errors
    /// [`ModelError`] if the program is refused or the matrices are not its own.
    pub fn from_parts<B: AsRef<[u8]>>(
        manifest: Manifest,
        matrices: &[B],
    ) -> Result<Self, ModelError> {
        let parts = matrices.iter().map(AsRef::as_ref);
        let id = write(&manifest, parts, &mut io::sink())?;
        let mut places = Vec::with_capacity(matrices.len());
        let mut end = 0;
        for matrix in matrices {
            places.push(end..end + matrix.as_ref().len());
            end += matrix.as_ref().len().next_multiple_of(64);
        }
        let mut weights = allocate(end)?;
        for (place, matrix) in places.iter().zip(matrices) {
            weights[place.clone()].copy_from_slice(matrix.as_ref());
        }
        Ok(Self {
            manifest,
            id,
            weights,
            places,
        })
    }

    fn read(
        header: Header,
        have: u64,
        read_at: &ReadAt<'_>,
        path: &Path,
    ) -> Result<Self, ModelError> {
        let need = header.file_bytes;
        if have != need {
            return Err(ModelError::Length { have, need });
        }
        let start = header.matrices.first().map_or(need, |first| first.start);
        let mut weights = allocate((need - start) as usize)?;
        let places = header
            .matrices
            .iter()
            .map(|place| (place.start - start) as usize..(place.end - start) as usize)
            .collect::<Vec<_>>();
        let mut parts = vec![];
        let mut rest = &mut weights[..];
        for (index, place) in places.iter().enumerate() {
            let (part, after) = rest.split_at_mut(place.len());
            parts.push((index, part));
            rest = after;
        }
        fill(parts, &header, read_at, path)?;
        Ok(Self {
            manifest: header.manifest,
            id: header.id,
            weights,
            places,
        })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.manifest.program
    }

    /// What a language model needs to read and write text.
    pub fn text(&self) -> Option<&TextAssets> {
        self.manifest.text.as_ref()
    }

    /// The program and the text assets.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the header, which holds the hash of every matrix.
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> usize {
        self.weights.len()
    }

    /// The bytes of a matrix; empty if there is none of that index.
    pub fn matrix_bytes(&self, index: usize) -> &[u8] {
        let place = self.places.get(index).cloned();
        place
            .and_then(|place| self.weights.get(place))
            .unwrap_or(&[])
    }

    /// All matrices, in the program's order, as the interpreter takes them.
    pub fn weights(&self) -> Vec<Weights<'_>> {
        let matrices = self.manifest.program.matrices.iter().enumerate();
        matrices
            .map(|(index, matrix)| Weights {
                matrix,
                bytes: self.matrix_bytes(index),
            })
            .collect()
    }
}

/// Memory of the system's large pages, where it has them.
fn allocate(bytes: usize) -> Result<MmapMut, ModelError> {
    // Nothing of length 0 can be mapped.
    let memory =
        MmapMut::map_anon(bytes.max(1)).map_err(|error| ModelError::Memory { bytes, error })?;
    // A system without them uses small ones.
    let _ = memory.advise(Advice::HugePage);
    Ok(memory)
}

/// Reads and checks every matrix into its place, several at once. The first that fails is the error.
fn fill(
    parts: Vec<(usize, &mut [u8])>,
    header: &Header,
    read_at: &ReadAt<'_>,
    path: &Path,
) -> Result<(), ModelError> {
    let program = &header.manifest.program;
    let count = parts.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MAX_LOADING_THREADS).min(count.max(1));
    let queue = Mutex::new(parts.into_iter());
    let failed = Mutex::new(None::<(usize, ModelError)>);
    let load = || {
        loop {
            let part = queue.lock().next();
            let Some((index, bytes)) = part else { return };
            let result = read_at(bytes, header.matrices[index].start)
                .map_err(|error| ModelError::Io {
                    path: path.to_owned(),
                    error,
                })
                .and_then(|()| {
                    check_matrix(&program.matrices[index], bytes).map_err(|error| {
                        ModelError::Matrix {
                            index,
                            count,
                            error,
                        }
                    })
                });
            if let Err(error) = result {
                let mut failed = failed.lock();
                if failed.as_ref().is_none_or(|(first, _)| index < *first) {
                    *failed = Some((index, error));
                }
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(load);
        }
        load();
    });
    let failed = failed.into_inner();
    failed.map_or(Ok(()), |(_, error)| Err(error))
}
