//! How long lists are written: as byte strings, numbers little-endian. One item of CBOR for each keeps memory near the
//! file's length while a stranger's file is decoded.

/// `Vec<i16>` as a CBOR byte string.
pub(crate) mod mantissas {
    use minicbor::{
        Decoder, Encoder,
        decode::Error as DecodeError,
        encode::{Error as EncodeError, Write},
    };

    pub(crate) fn encode<C, W: Write>(
        mantissas: &[i16],
        encoder: &mut Encoder<W>,
        _context: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        let bytes: Vec<u8> = mantissas.iter().flat_map(|m| m.to_le_bytes()).collect();
        encoder.bytes(&bytes)?.ok()
    }

    pub(crate) fn decode<C>(
        decoder: &mut Decoder<'_>,
        _context: &mut C,
    ) -> Result<Vec<i16>, DecodeError> {
        let bytes = decoder.bytes()?;
        if bytes.len() % 2 != 0 {
            return Err(DecodeError::message(
                "an odd number of bytes for 16-bit numbers",
            ));
        }
        Ok(bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect())
    }
}

/// `Vec<Vec<u32>>` as a list of CBOR byte strings, so that a list of numbers is one item.
pub(crate) mod columns {
    use minicbor::{
        Decoder, Encoder,
        decode::Error as DecodeError,
        encode::{Error as EncodeError, Write},
    };

    pub(crate) fn encode<C, W: Write>(
        columns: &[Vec<u32>],
        encoder: &mut Encoder<W>,
        _context: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        encoder.array(columns.len() as u64)?;
        for column in columns {
            let bytes: Vec<u8> = column.iter().flat_map(|n| n.to_le_bytes()).collect();
            encoder.bytes(&bytes)?;
        }
        Ok(())
    }

    pub(crate) fn decode<C>(
        decoder: &mut Decoder<'_>,
        _context: &mut C,
    ) -> Result<Vec<Vec<u32>>, DecodeError> {
        let mut columns = vec![];
        for _ in 0..decoder.array()?.unwrap_or(0) {
            let (numbers, rest) = decoder.bytes()?.as_chunks();
            if !rest.is_empty() {
                return Err(DecodeError::message(
                    "bytes of 32-bit numbers that are no multiple of 4",
                ));
            }
            columns.push(numbers.iter().map(|n| u32::from_le_bytes(*n)).collect());
        }
        Ok(columns)
    }
}

/// `Vec<Branch>` as one CBOR byte string, 17 bytes for each.
pub(crate) mod branches {
    use crate::operation::Branch;
    use minicbor::{
        Decoder, Encoder,
        decode::Error as DecodeError,
        encode::{Error as EncodeError, Write},
    };

    const DECISION: u8 = 0;
    const LEAF: u8 = 1;
    const LEAF_AND_MORE: u8 = 2;

    pub(crate) fn encode<C, W: Write>(
        branches: &[Branch],
        encoder: &mut Encoder<W>,
        _context: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        let mut bytes = Vec::with_capacity(branches.len() * 17);
        for branch in branches {
            let (kind, words) = match *branch {
                Branch::Decision {
                    feature,
                    threshold,
                    below,
                    otherwise,
                } => (DECISION, [feature, threshold, below, otherwise]),
                Branch::Leaf {
                    output,
                    value,
                    more,
                } => (LEAF + u8::from(more), [output, value as u32, 0, 0]),
            };
            bytes.push(kind);
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }
        encoder.bytes(&bytes)?.ok()
    }

    pub(crate) fn decode<C>(
        decoder: &mut Decoder<'_>,
        _context: &mut C,
    ) -> Result<Vec<Branch>, DecodeError> {
        let (nodes, rest) = decoder.bytes()?.as_chunks::<17>();
        if !rest.is_empty() {
            return Err(DecodeError::message(
                "bytes of a forest that are no multiple of 17",
            ));
        }
        nodes.iter().map(branch).collect()
    }

    fn branch(node: &[u8; 17]) -> Result<Branch, DecodeError> {
        let [kind, words @ ..] = node;
        let mut words = words
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word));
        let mut next = || words.next().unwrap_or(0);
        match *kind {
            DECISION => Ok(Branch::Decision {
                feature: next(),
                threshold: next(),
                below: next(),
                otherwise: next(),
            }),
            LEAF | LEAF_AND_MORE => Ok(Branch::Leaf {
                output: next(),
                value: next() as i32,
                more: *kind == LEAF_AND_MORE,
            }),
            _ => Err(DecodeError::message("a node of no known kind")),
        }
    }
}
