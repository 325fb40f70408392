//! Run program operations fast, bit for bit the same.
