//! The bounds of a server, and what its operator sees, over real sockets.
//!
//! Time is paused: where a test would wait for a limit, the clock jumps to it.

mod it {
    mod operator;
    mod server;
    mod tls;
    mod traces;
}
