//! Key files: one secret in hexadecimal each, readable by its owner only, never logged.

use alloy_primitives::{Address, B256, hex};
use alloy_signer_local::PrivateKeySigner;
use og_crypto::{ConsensusKey, NodeKey, SeatKey};
use og_engine::{UpstreamAuthority, UpstreamKey};
use og_opengradient::GatewayIdentity;
use rand::CryptoRng;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// Longest key file that is read, in bytes: a gateway's identity is the longest.
const MAX_KEY_FILE_BYTES: u64 = 16 * 1024;
/// Most bytes of a file of authorities that are read.
const MAX_AUTHORITIES_BYTES: u64 = 1024 * 1024;
/// When the certificate of a gateway's identity holds, in seconds of Unix time: until the year 2100. Whoever trusts it found
/// it in a registry, from which it can be taken.
const IDENTITY_VALIDITY: RangeInclusive<i64> = 0..=4_102_444_800;
/// What our own keys look like.
const HEXADECIMAL: &str = "32 bytes in hexadecimal are expected";

/// Why a key file could not be made or used. The secret never appears in the message.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is something at the path already: a key is never overwritten.
    #[error("{} exists already: a key is never overwritten; move it away if you mean to replace it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be created.
    #[error("cannot write the key file {}: check that its folder exists and is writable", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read the key file {}: check the path in the configuration and the file's permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A variable of the environment holds no key.
    #[error("the environment has no key in {name}: set it before the node is started")]
    Variable {
        /// The variable.
        name: String,
    },
    /// The file holds something else than a key of the kind that is needed.
    #[error("{} does not hold a {kind}: {expected}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The kind of key that is needed.
        kind: &'static str,
        /// What such a key looks like.
        expected: &'static str,
    },
}

/// Draws a seat key (Ed25519: a validator's name and its connections) and writes it to `path`.
///
/// # Errors
/// [`KeyFileError`] if the file exists or cannot be written.
pub fn create_seat_key(path: &Path, rng: &mut impl CryptoRng) -> Result<SeatKey, KeyFileError> {
    let key = SeatKey::random(rng);
    write_secret(path, &key.to_hex())?;
    Ok(key)
}

/// Draws a consensus key (BLS12-381: a validator's votes) and writes it to `path`.
///
/// # Errors
/// [`KeyFileError`] if the file exists or cannot be written.
pub fn create_consensus_key(
    path: &Path,
    rng: &mut impl CryptoRng,
) -> Result<ConsensusKey, KeyFileError> {
    let key = ConsensusKey::random(rng);
    write_secret(path, &key.to_hex())?;
    Ok(key)
}

/// Draws the key of an inference node (Ed25519: it signs records) and writes it to `path`.
///
/// # Errors
/// [`KeyFileError`] if the file exists or cannot be written.
pub fn create_node_key(path: &Path, rng: &mut impl CryptoRng) -> Result<NodeKey, KeyFileError> {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    write_secret(path, &hex::encode(seed))?;
    Ok(NodeKey::from_seed(seed))
}

/// Draws the identity by which OpenGradient's clients know a gateway (an RSA key, a self-signed certificate for `name`, a key
/// that requests are sealed for) and writes it to `path`.
///
/// # Errors
/// [`KeyFileError`] if the file exists or cannot be written, or the keys cannot be made.
pub fn create_gateway_identity(
    path: &Path,
    name: String,
    rng: &mut impl CryptoRng,
) -> Result<GatewayIdentity, KeyFileError> {
    let failed = |error: og_opengradient::KeyError| KeyFileError::Write {
        path: path.to_owned(),
        source: io::Error::other(error),
    };
    let identity = GatewayIdentity::generate(&[name], &IDENTITY_VALIDITY, rng).map_err(failed)?;
    let bytes = identity.to_bytes().map_err(failed)?;
    write_secret(path, &hex::encode(&*bytes))?;
    Ok(identity)
}

/// Reads a gateway's identity.
///
/// # Errors
/// [`KeyFileError`] if the file cannot be read or holds something else.
pub fn read_gateway_identity(path: &Path) -> Result<GatewayIdentity, KeyFileError> {
    read_key(
        path,
        "gateway identity",
        "what `og network init` writes is expected",
        |text| {
            let bytes = hex::decode(text.trim()).ok()?;
            GatewayIdentity::from_bytes(&bytes).ok()
        },
    )
}

/// Draws the key of an account (secp256k1) and writes it to `path`.
///
/// # Errors
/// [`KeyFileError`] if the file exists or cannot be written.
pub fn create_account_key(path: &Path, rng: &mut impl CryptoRng) -> Result<Address, KeyFileError> {
    let (secret, address) = random_account(rng);
    write_secret(path, &hex::encode(secret))?;
    Ok(address)
}

/// Draws an account: its secret key and its address.
pub fn random_account(rng: &mut impl CryptoRng) -> (B256, Address) {
    loop {
        let mut secret = B256::ZERO;
        rng.fill_bytes(secret.as_mut_slice());
        // All but about one in 2^128 draws are keys of the curve.
        if let Ok(signer) = PrivateKeySigner::from_bytes(&secret) {
            return (secret, signer.address());
        }
    }
}

/// Reads a seat key.
///
/// # Errors
/// [`KeyFileError`] if the file cannot be read or holds no such key.
pub fn read_seat_key(path: &Path) -> Result<SeatKey, KeyFileError> {
    read_key(path, "seat key", HEXADECIMAL, |text| {
        SeatKey::from_hex(text).ok()
    })
}

/// Reads a consensus key.
///
/// # Errors
/// [`KeyFileError`] if the file cannot be read or holds no such key.
pub fn read_consensus_key(path: &Path) -> Result<ConsensusKey, KeyFileError> {
    read_key(path, "consensus key", HEXADECIMAL, |text| {
        ConsensusKey::from_hex(text).ok()
    })
}

/// Reads the key of an inference node.
///
/// # Errors
/// [`KeyFileError`] if the file cannot be read or holds no such key.
pub fn read_node_key(path: &Path) -> Result<NodeKey, KeyFileError> {
    read_key(path, "node key", HEXADECIMAL, |text| {
        hex::decode_to_array(text.trim())
            .ok()
            .map(NodeKey::from_seed)
    })
}

/// Reads the key of an account.
///
/// # Errors
/// [`KeyFileError`] if the file cannot be read or holds no such key.
pub fn read_account_key(path: &Path) -> Result<PrivateKeySigner, KeyFileError> {
    read_key(path, "account key", HEXADECIMAL, |text| {
        text.trim().parse().ok()
    })
}

/// Reads the key of another service.
///
/// # Errors
/// [`KeyFileError`] if the file cannot be read or holds no such key.
pub fn read_upstream_key(path: &Path) -> Result<UpstreamKey, KeyFileError> {
    let expected = "one line of visible characters is expected, as the service gave it";
    read_key(path, "service's key", expected, |text| {
        UpstreamKey::new(text).ok()
    })
}

/// The key of another service that a variable of the environment holds.
///
/// # Errors
/// [`KeyFileError`] if there is no such variable, or it holds no key.
pub fn upstream_key_of_environment(variable: &str) -> Result<UpstreamKey, KeyFileError> {
    let key = std::env::var(variable).ok();
    let key = key.and_then(|text| UpstreamKey::new(&text).ok());
    key.ok_or_else(|| KeyFileError::Variable {
        name: variable.to_owned(),
    })
}

/// Reads certificates of authorities, in PEM.
///
/// # Errors
/// [`KeyFileError`] if the file cannot be read or holds no certificate.
pub fn read_authorities(path: &Path) -> Result<Vec<UpstreamAuthority>, KeyFileError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_AUTHORITIES_BYTES).read_to_end(&mut text))
        .map_err(|source| KeyFileError::Read {
            path: path.to_owned(),
            source,
        })?;
    UpstreamAuthority::read_all(&text).map_err(|_| KeyFileError::Parse {
        path: path.to_owned(),
        kind: "certificate",
        expected: "one or more in PEM are expected, -----BEGIN CERTIFICATE-----",
    })
}

/// Creates `path` with `contents`, readable and writable by its owner only.
pub(crate) fn write_secret(path: &Path, contents: &str) -> Result<(), KeyFileError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let fail = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyFileError::Exists { path }
        } else {
            KeyFileError::Write { path, source }
        }
    };
    let mut file = options.open(path).map_err(fail)?;
    file.write_all(contents.as_bytes()).map_err(fail)?;
    file.write_all(b"\n").map_err(fail)?;
    file.sync_all().map_err(fail)
}

fn read_key<K>(
    path: &Path,
    kind: &'static str,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<K>,
) -> Result<K, KeyFileError> {
    let fail = |source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fail)?;
    warn_if_exposed(path, &file);
    let mut text = String::new();
    file.take(MAX_KEY_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(fail)?;
    parse(&text).ok_or_else(|| KeyFileError::Parse {
        path: path.to_owned(),
        kind,
        expected,
    })
}

/// Others who can read a key can sign in its owner's name: said loudly, but not an error, because
/// some file systems and secret stores cannot express it.
#[cfg(unix)]
fn warn_if_exposed(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = file.metadata() else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format!("{mode:o}"),
            "other users can read this key file: run chmod 600 on it"
        );
    }
}

#[cfg(not(unix))]
fn warn_if_exposed(_: &Path, _: &File) {}
