//! The encoding of every type: canonical, bounded, and as the committed vectors say.

mod canonical;
mod strategies;
mod vectors;
