//! The HTTP server as a client sees it, on a real port.

mod it {
    mod server;
}
