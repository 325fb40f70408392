//! Run a whole network from a seed.
//!
//! The validators' own code (consensus, chain, records) on commonware's deterministic runtime and
//! simulated network. A [`Plan`] says what goes wrong: delays, losses, partitions, crashes, power
//! losses that tear what was being written, wrong clocks, and seats that lie. [`checks`] look at
//! every final block and, after every step, at every validator. The same seed gives the same
//! history, bit for bit.
//!
//! Reading order: [`plan`], [`simulation`], [`checks`], `seat`, [`validator`], `adversary`, [`campaign`].

#![forbid(unsafe_code)]

mod adversary;
pub mod campaign;
pub mod checks;
mod clock;
pub mod figures;
mod outlet;
pub mod plan;
mod seat;
pub mod simulation;
pub mod validator;
pub mod workload;
pub mod world;

pub use campaign::{Campaign, Failure, Summary};
pub use checks::{Checker, Violation};
pub use plan::Plan;
pub use simulation::{Outcome, simulate};
