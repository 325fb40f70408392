//! What published clients agree to, byte by byte, and what hostile ones send.

mod attestation;
mod canonical;
mod hostile;
mod identity;
mod ohttp;
mod proof;
mod vectors;
