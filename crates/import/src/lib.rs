//! Turn ONNX, GGUF and safetensors into programs.
//!
//! A decoder is described by a [`decoder::DecoderConfig`] and read through a [`decoder::Source`]; [`convert::convert`]
//! makes an integer program of it, layer by layer, while the float original runs beside it and shows what ranges
//! values have. Floats end here: what is converted runs on integers.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod checkpoint;
pub mod convert;
pub mod decoder;
mod floats;
pub mod gguf;
pub mod mapped;
pub mod onnx;
pub mod quality;
pub mod quantise;
pub mod tensor;
