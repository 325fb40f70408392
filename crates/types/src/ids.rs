//! Names of things: fixed-size identifiers that cannot be mistaken for one another.

use crate::cbor::{DecodeError, Field, Writer, read_fixed, write_bytes};
use minicbor::Decoder;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $length;
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }
        impl From<[u8; $length]> for $name {
            fn from(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl Default for $name {
            fn default() -> Self {
                Self([0; $length])
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("0x")?;
                f.write_str(&alloy_primitives::hex::encode(self.0))
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl std::str::FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                alloy_primitives::hex::decode_to_array(text)
                    .map(Self)
                    .map_err(|_| ParseIdError { kind: stringify!($name), bytes: $length })
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl Field for $name {
            fn write_field(&self, writer: &mut Writer) {
                write_bytes(writer, &self.0);
            }
            fn read_field(decoder: &mut Decoder<'_>, _: usize) -> Result<Self, DecodeError> {
                read_fixed(decoder).map(Self)
            }
        }
    };
}

/// Text that is not an identifier: hexadecimal digits (with or without `0x`) are expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: {bytes} bytes in hexadecimal are expected")]
pub struct ParseIdError {
    kind: &'static str,
    bytes: usize,
}

id!(
    /// keccak256 of a block's header: the one name of a block everywhere.
    BlockHash, 32
);
id!(
    /// One request, chosen at random by whoever asks; it settles once.
    RequestId, 32
);
id!(
    /// Content hash of a model file (see `docs/formats/model.md`).
    ModelId, 32
);
id!(
    /// An inference node: its Ed25519 public key.
    NodeId, 32
);
id!(
    /// A validator's seat: its Ed25519 public key on the network.
    ValidatorId, 32
);
id!(
    /// An Ed25519 signature.
    Signature, 64
);

/// An amount of the network's token in its smallest unit (10^-18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u128);

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
impl serde::Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> serde::Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}
impl Field for Amount {
    fn write_field(&self, writer: &mut Writer) {
        write_bytes(writer, &self.0.to_be_bytes());
    }
    fn read_field(decoder: &mut Decoder<'_>, _: usize) -> Result<Self, DecodeError> {
        read_fixed(decoder).map(|bytes| Self(u128::from_be_bytes(bytes)))
    }
}
