//! Attention equals the definition.
