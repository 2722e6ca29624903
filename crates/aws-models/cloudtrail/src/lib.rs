//! The API of AWS CloudTrail as Rust types: inputs, outputs, errors, the handler trait and its dispatcher.
//!
//! `ops.toml` chooses the operations, `facts/cloudtrail.json` holds what botocore's model says about them, and
//! `cargo xtask codegen` writes `generated` from both.
//!
//! **Invariant:** nothing here is written by hand but the words in which AWS CloudTrail refuses an invalid input.

mod refusal;
#[rustfmt::skip]
mod generated;

pub use generated::*;
