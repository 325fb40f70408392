//! The words of OpenGradient's published clients: what they hash, sign, seal and name.
//!
//! A gateway that those clients talk to has to agree with them to the byte. [`canonical`] gives the
//! bytes of a request that are signed, [`hash`] what is hashed, [`SigningKey`] and [`TeeFields`] the
//! proof beside an answer, [`ohttp`] the envelope that a relay cannot look into,
//! [`GatewayIdentity`] the keys and the certificate of one gateway, and [`simulated_attestation`] what
//! stands where an enclave would vouch for them. `docs/formats/opengradient.md` describes all of it.
//!
//! Everything here is a function of its arguments: no clock, no I/O. Chance is an argument where the
//! libraries allow that; keys of RSA and of TLS, and the salt of a signature, come from AWS-LC.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod attestation;
pub mod canonical;
pub mod hash;
mod identity;
mod json;
pub mod ohttp;
mod output;
mod proof;
mod python;
mod signing;
mod tls;

pub use attestation::{ATTESTATION_NONCE_BYTES, simulated_attestation};
pub use identity::{GatewayIdentity, IdentityError};
pub use output::{FunctionCall, ToolCall, tool_calls_output};
pub use proof::{ProofError, TeeFields};
pub use signing::{KeyError, SIGNATURE_BYTES, SigningKey, verify};
pub use tls::{TlsIdentity, Validity};
