//! A model as a file: a header that says everything but the weights, then the bytes of each matrix
//! (`docs/formats/model.md`).

mod measure;
mod write;

pub use measure::{Measure, check_matrix, describe, measure};
pub use write::{Writer, write};

use crate::{check::ProgramError, program::Program};
use minicbor::{Decode, Encode, data::Type as Item};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, ops::Range};

/// The first bytes of every model file.
pub const MAGIC: [u8; 8] = *b"OGMODEL\n";
/// Version of the format.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the manifest: magic, version, length of the manifest.
pub const PREFIX_BYTES: usize = 16;
/// Bytes of a manifest, at most.
pub const MAX_MANIFEST_BYTES: usize = 1 << 28;
/// Numbers, strings and lists in a manifest, at most; a decoded one takes at most 64 bytes of memory beside its text.
pub const MAX_MANIFEST_ITEMS: usize = 1 << 22;
/// Bytes of a file, at most.
pub const MAX_FILE_BYTES: u64 = 1 << 42;
/// Each matrix begins at a multiple of this.
pub const ALIGNMENT: u64 = 64;

/// Everything about a model but the bytes of its matrices, which it names by their hashes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Manifest {
    /// What it computes.
    #[n(0)]
    pub program: Program,
    /// How text becomes tokens and back, if it is a model that reads text.
    #[n(1)]
    pub text: Option<TextAssets>,
}

/// What a model that reads text needs beside its program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TextAssets {
    /// A Hugging Face `tokenizer.json`, whatever the source was.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub tokenizer: Vec<u8>,
    /// A jinja template that makes a prompt of a conversation.
    #[n(1)]
    pub chat_template: Option<String>,
    /// The token that is put in front of every raw prompt.
    #[n(2)]
    pub begin: Option<u32>,
    /// Tokens that end an answer.
    #[n(3)]
    pub ends: Vec<u32>,
    /// `bos_token`, `eos_token` and others, as templates see them.
    #[n(4)]
    pub special: BTreeMap<String, String>,
    /// How the rows of the program's first output become a text's vector, if the model embeds texts and does not continue them.
    #[n(5)]
    pub pooling: Option<Pooling>,
}

/// Which positions' rows a text's vector is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Pooling {
    /// The mean of all.
    #[n(0)]
    Mean,
    /// The last: no other has seen the whole text.
    #[n(1)]
    Last,
}

/// What [`read_header`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The manifest; its program is checked.
    pub manifest: Manifest,
    /// The model's id: SHA-256 of the prefix and the manifest as they stand in the file.
    pub id: [u8; 32],
    /// Where each matrix's bytes stand in the file.
    pub matrices: Vec<Range<u64>>,
    /// Bytes of the whole file.
    pub file_bytes: u64,
}

/// Why a model file is refused, or not written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Other first bytes.
    #[error(
        "not a model file: it does not begin with \"OGMODEL\"; build one with `og model build`"
    )]
    Magic,
    /// Another version of the format.
    #[error(
        "the model file has format {0}, and this software reads format {FORMAT_VERSION}; build it anew"
    )]
    Version(u32),
    /// It ends too soon.
    #[error("the model file has {have} bytes where its header needs {need}; copy it again")]
    Truncated {
        /// Bytes that there must be.
        need: u64,
        /// Bytes that there are.
        have: u64,
    },
    /// Something is larger than any model may have.
    #[error("the model file's {what} is {found}, and at most {most} is allowed")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        most: u64,
    },
    /// The manifest is no canonical CBOR of its form.
    #[error("the model file's manifest is malformed: {0}")]
    Malformed(String),
    /// Bytes that must be zero are not.
    #[error("the model file has bytes other than zero between its manifest and its weights")]
    Padding,
    /// The program is not one.
    #[error("the model's program is refused: {0}")]
    Program(#[from] ProgramError),
    /// The bytes of a matrix are not those that the manifest names.
    #[error("the bytes of a matrix are not the model's: {0}")]
    Matrix(&'static str),
    /// As many matrices are given as the program has, in its order.
    #[error("{given} matrices are written, and the program has {expected}")]
    Count {
        /// Written.
        given: usize,
        /// In the program.
        expected: usize,
    },
    /// The file cannot be written.
    #[error("the model file cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// How many bytes [`read_header`] needs, from the first [`PREFIX_BYTES`] of a file.
///
/// # Errors
/// [`FileError`] if these are not the first bytes of a model file of this format.
pub fn header_bytes(start: &[u8]) -> Result<usize, FileError> {
    let truncated = FileError::Truncated {
        need: PREFIX_BYTES as u64,
        have: start.len() as u64,
    };
    let (magic, rest) = start.split_first_chunk().ok_or(FileError::Magic)?;
    if *magic != MAGIC {
        return Err(FileError::Magic);
    }
    let Some((version, rest)) = rest.split_first_chunk() else {
        return Err(truncated);
    };
    let version = u32::from_le_bytes(*version);
    if version != FORMAT_VERSION {
        return Err(FileError::Version(version));
    }
    let length = u32::from_le_bytes(*rest.first_chunk().ok_or(truncated)?) as usize;
    at_most("manifest", length as u64, MAX_MANIFEST_BYTES as u64)?;
    Ok((PREFIX_BYTES + length).next_multiple_of(ALIGNMENT as usize))
}

/// Reads and checks the header of a model file from its first bytes: as many as [`header_bytes`] says, or more.
///
/// # Errors
/// [`FileError`] if the header is not that of a model whose program this software can run.
pub fn read_header(prefix: &[u8]) -> Result<Header, FileError> {
    let need = header_bytes(prefix)?;
    let length = prefix
        .get(12..PREFIX_BYTES)
        .and_then(|length| length.first_chunk())
        .map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let Some((header, padding)) = prefix
        .get(..need)
        .and_then(|prefix| prefix.split_at_checked(PREFIX_BYTES + length))
    else {
        return Err(FileError::Truncated {
            need: need as u64,
            have: prefix.len() as u64,
        });
    };
    if padding.iter().any(|byte| *byte != 0) {
        return Err(FileError::Padding);
    }
    let manifest = Manifest::decode_canonical(header.get(PREFIX_BYTES..).unwrap_or(&[]))?;
    manifest.program.check()?;
    let (matrices, file_bytes) = sections(&manifest.program, need as u64)?;
    Ok(Header {
        manifest,
        id: Sha256::digest(header).into(),
        matrices,
        file_bytes,
    })
}

/// Where the matrices stand, one after the other from `start`, and where the last ends.
fn sections(program: &Program, start: u64) -> Result<(Vec<Range<u64>>, u64), FileError> {
    let mut end = start;
    let mut matrices = Vec::with_capacity(program.matrices.len());
    for matrix in &program.matrices {
        let layout = matrix
            .layout()
            .ok_or(FileError::Matrix("its size overflows"))?;
        let begin = end;
        end = end.saturating_add(layout.bytes as u64);
        matrices.push(begin..end);
    }
    at_most("size", end, MAX_FILE_BYTES)?;
    Ok((matrices, end))
}

fn at_most(what: &'static str, found: u64, most: u64) -> Result<(), FileError> {
    if found <= most {
        Ok(())
    } else {
        Err(FileError::TooLarge { what, found, most })
    }
}

impl Manifest {
    /// The one encoding of a manifest.
    pub fn encode_canonical(&self) -> Vec<u8> {
        let mut bytes = vec![];
        // Writing to memory cannot fail.
        let _: Result<(), _> = minicbor::encode(self, &mut bytes);
        bytes
    }

    /// Decodes a manifest and accepts no other bytes than its one encoding. The program is not checked.
    ///
    /// # Errors
    /// [`FileError::Malformed`] or [`FileError::TooLarge`].
    pub fn decode_canonical(bytes: &[u8]) -> Result<Self, FileError> {
        at_most("manifest", bytes.len() as u64, MAX_MANIFEST_BYTES as u64)?;
        check_items(bytes)?;
        let manifest: Self =
            minicbor::decode(bytes).map_err(|error| FileError::Malformed(error.to_string()))?;
        if manifest.encode_canonical() == bytes {
            Ok(manifest)
        } else {
            let reason = "it is not in the one encoding that its content has";
            Err(FileError::Malformed(reason.to_owned()))
        }
    }
}

/// Walks over all items without keeping any: a manifest has a bounded number of known kinds, of known lengths,
/// and nothing after it.
fn check_items(bytes: &[u8]) -> Result<(), FileError> {
    let malformed = |error: minicbor::decode::Error| FileError::Malformed(error.to_string());
    let mut decoder = minicbor::Decoder::new(bytes);
    let (mut open, mut items) = (1_u64, 0_u64);
    while open > 0 {
        open -= 1;
        items += 1;
        at_most("number of items", items, MAX_MANIFEST_ITEMS as u64)?;
        let inner = match decoder.datatype().map_err(malformed)? {
            Item::Bytes => decoder.bytes().map(|_| 0),
            Item::String => decoder.str().map(|_| 0),
            Item::Array => decoder.array().map(Option::unwrap_or_default),
            Item::Map => decoder
                .map()
                .map(|pairs| pairs.unwrap_or_default().saturating_mul(2)),
            Item::Bool => decoder.bool().map(|_| 0),
            Item::Null => decoder.null().map(|()| 0),
            Item::U8 | Item::U16 | Item::U32 | Item::U64 => decoder.u64().map(|_| 0),
            Item::I8 | Item::I16 | Item::I32 | Item::I64 => decoder.i64().map(|_| 0),
            other => Err(minicbor::decode::Error::message(format!(
                "it has an item of kind {other}, which no manifest has"
            ))),
        };
        open = open.saturating_add(inner.map_err(malformed)?);
    }
    if decoder.position() == bytes.len() {
        Ok(())
    } else {
        Err(FileError::Malformed(
            "bytes follow its last item".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests;
