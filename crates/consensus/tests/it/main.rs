//! Whole validators, wired as in production, on a simulated network and disk.

mod disk;
mod network;
mod sync;
mod throttle;
