//! Which instructions the kernels use, found at run time.

use crate::lanes::{Operation, Portable};

/// A set of instructions for which every kernel exists. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Path {
    /// Plain Rust: runs everywhere.
    Scalar,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// As [`Path::Avx512`], and VNNI.
    Avx512Vnni,
    /// 64-bit ARM with NEON.
    Neon,
}

impl Path {
    /// All paths, slowest first.
    pub const ALL: [Self; 5] = [
        Self::Scalar,
        Self::Avx2,
        Self::Neon,
        Self::Avx512,
        Self::Avx512Vnni,
    ];

    /// The fastest path that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().unwrap_or(Self::Scalar)
    }

    /// The paths that this processor has, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(|path| Token::detect(*path).is_some())
    }

    /// The name in lower case, as in a setting.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
            Self::Neon => "neon",
        }
    }

    /// The path of this [`Path::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.name() == name)
    }
}

/// The processor lacks the instructions that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this processor cannot run the path {}; choose one of Path::available()", path.name())]
pub struct Unavailable {
    /// What was asked for.
    pub path: Path,
}

/// The kernels of one path. Copy it freely: it holds nothing but the choice.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    path: Path,
    token: Token,
}

impl Kernels {
    /// The kernels of `path`.
    ///
    /// # Errors
    /// [`Unavailable`] if this processor lacks the instructions.
    pub fn new(path: Path) -> Result<Self, Unavailable> {
        Token::detect(path)
            .map(|token| Self { path, token })
            .ok_or(Unavailable { path })
    }

    /// The kernels of [`Path::best`].
    #[must_use]
    pub fn best() -> Self {
        let scalar = Self {
            path: Path::Scalar,
            token: Token::Scalar,
        };
        Self::new(Path::best()).unwrap_or(scalar)
    }

    /// Which path this is.
    #[must_use]
    pub const fn path(self) -> Path {
        self.path
    }

    /// Runs an operation, compiled for this path.
    #[inline]
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        match self.token {
            Token::Scalar => operation.run(Portable),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(lanes) => lanes.enter(operation),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(lanes) => lanes.enter(operation),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(lanes) => lanes.enter(operation),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(lanes) => lanes.enter(operation),
        }
    }
}

/// A path with the proof that the processor has it.
#[derive(Clone, Copy, Debug)]
enum Token {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::lanes::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(crate::lanes::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(crate::lanes::Avx512Vnni),
    #[cfg(target_arch = "aarch64")]
    Neon(crate::lanes::Neon),
}

impl Token {
    fn detect(path: Path) -> Option<Self> {
        match path {
            Path::Scalar => Some(Self::Scalar),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => crate::lanes::Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => crate::lanes::Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Vnni => crate::lanes::Avx512Vnni::detect().map(Self::Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            Path::Neon => crate::lanes::Neon::detect().map(Self::Neon),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }
}
