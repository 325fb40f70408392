//! Take a job, run it, sign its record.
//!
//! A [`Worker`] turns a [`Job`](og_types::Job) into a [`JobResult`](og_types::JobResult); its
//! [`Ledger`] keeps it from ever signing two records for one request id that could both be
//! admitted. [`serve`] offers it over HTTP: `POST /v1/jobs`, `GET /v1/models`.

mod events;
mod failure;
mod ledger;
mod server;
mod traced;
mod worker;

pub use ledger::{Ledger, LedgerError, MAX_REMEMBERED_REQUESTS};
pub use server::{BODY_TIMEOUT_MS, MAX_ADMITTED_JOBS, MAX_CONNECTIONS, MAX_HELD_BYTES, serve};
pub use worker::{
    Clock, JobError, RECORD_LIFETIME_MS, RECORD_SLACK_MS, SaltSource, Worker, WorkerConfig,
};
