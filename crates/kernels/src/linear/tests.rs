//! Products equal the definition.
