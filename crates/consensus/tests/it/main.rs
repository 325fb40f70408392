//! Whole validators, wired as in production, on a simulated network and disk.

mod cold;
mod disk;
mod gossip;
mod journal;
mod lines;
mod network;
mod sync;
mod throttle;
