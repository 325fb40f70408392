//! Dishonest seats: what they send in place of what the rules demand.
//!
//! `simplex::mocks` has a `Conflicter` and a `Nuller` that do what ours do, and an `Equivocator`.
//! They do not fit here: each speaks for one engine, where ours come and go with the epochs on
//! subchannels; `Equivocator` stops on the first bytes that it cannot decode, which another liar
//! sends it, and hands its proposals around outside of the network, so that nobody has the blocks
//! ([`Role::Twins`](crate::plan::Role::Twins) proposes real ones, and splits its messages as
//! `simplex::mocks::twins` does); and their cargo feature would come into the binary that
//! operators run.

mod blocks;
mod forger;
mod liar;
mod noise;
mod votes;

pub(crate) use blocks::InvalidBlocks;
pub(crate) use forger::forge;
pub(crate) use liar::Liar;
pub(crate) use noise::{Noise, make_noise};
pub(crate) use votes::{contradict, nullify_and_finalize};
