//! Receipts as a stranger meets them: honest, tampered with, and made by dishonest validators.

mod accepted;
mod fixture;
mod mutated;
mod rejected;
mod state;
mod vectors;
