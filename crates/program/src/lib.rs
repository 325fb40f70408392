//! Define integer programs and run them slowly and exactly.
//!
//! A model is one [`Program`]: a list of operations on integers, without floating point, without
//! randomness but what is an input, and without any result that depends on the order of evaluation. This crate
//! is the executable form of `docs/spec/program.md` and the later judge of disputes; it is meant to be
//! read. Whoever runs programs fast must give the same bits.
//!
//! Reading order: [`numbers`] (rounding, division, roots: defined by what they satisfy), [`value`] (rows of
//! 16-bit mantissas with exponents), [`matrix`] (weights), [`operation`], [`program`] (the whole and its
//! checks), [`interpret`] (the slow way to run it), [`sample`] (from logits to a token), [`file`] (how a
//! model is stored and named) and [`trace`] (what a run commits to).

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::float_arithmetic
    )
)]

pub mod check;
mod encoding;
#[cfg(test)]
mod example;
pub mod file;
pub mod interpret;
pub mod matrix;
pub mod numbers;
pub mod operation;
pub mod program;
pub mod sample;
pub mod trace;
pub mod value;
