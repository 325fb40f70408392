//! Each checker, shown the fault that it is there for.
