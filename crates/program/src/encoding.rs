//! How constants are written: 16-bit numbers as byte strings, little-endian.

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
