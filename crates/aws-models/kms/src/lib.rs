//! The API of AWS Key Management Service as Rust types: inputs, outputs, errors, the handler trait and its dispatcher.
//!
//! `ops.toml` chooses the operations, `facts/kms.json` holds what botocore's model says about them, and
//! `cargo xtask codegen` writes `generated` from both.
//!
//! **Invariant:** nothing here is written by hand but the words in which AWS Key Management Service refuses an invalid input.

mod refusal;
#[rustfmt::skip]
mod generated;

pub use generated::*;
