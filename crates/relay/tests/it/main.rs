//! A relay between real clients and a real gateway, over real sockets and real TLS.

mod bounds;
mod chain;
mod gateway;
mod passing;
mod registry;
mod rows;
mod support;
mod trust;
