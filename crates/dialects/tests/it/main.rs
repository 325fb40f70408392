//! The formats against each other: what our server side writes, our client side reads, and the other way round.

mod arbitrary;
mod golden;
mod hostile;
mod requests;
mod round_trip;
