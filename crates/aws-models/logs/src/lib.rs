//! The API of Amazon CloudWatch Logs as Rust types: inputs, outputs, errors, the handler trait and its dispatcher.
//!
//! `ops.toml` chooses the operations, `facts/logs.json` holds what botocore's model says about them, and
//! `cargo xtask codegen` writes `generated` from both.
//!
//! **Invariant:** nothing here is written by hand but the words in which Amazon CloudWatch Logs refuses an invalid input.

mod refusal;
#[rustfmt::skip]
mod generated;

pub use generated::*;
