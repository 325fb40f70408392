//! What is understood of requests, and how answers look.

mod answers;
mod requests;
