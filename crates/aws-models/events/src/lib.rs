//! The API of Amazon EventBridge as Rust types: inputs, outputs, errors, the handler trait and its dispatcher.
//!
//! `ops.toml` chooses the operations, `facts/events.json` holds what botocore's model says about them, and
//! `cargo xtask codegen` writes `generated` from both.
//!
//! **Invariant:** nothing here is written by hand but the words in which EventBridge refuses an invalid input.

mod refusal;
#[rustfmt::skip]
mod generated;

pub use generated::*;
