//! Google's `generateContent` and `streamGenerateContent`, version v1beta.
//!
//! Two things cannot be said to it. How many tokens to choose among: where the question does not bound them, the model's own
//! bound holds. And what the model thought before it called a tool: Google's word for conversations that came from elsewhere is
//! sent instead.

mod answer;
mod request;
mod turns;

pub(super) use answer::{Stream, read};
pub(super) use request::request;
