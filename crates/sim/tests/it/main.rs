//! Whole networks from seeds, and that every checker catches its fault.

mod checkers;
mod liars;
mod seeds;
