//! The API of Amazon EC2 as Rust types: inputs, outputs, errors, the handler trait and its dispatcher.
//!
//! `ops.toml` chooses the operations, `facts/ec2.json` holds what botocore's model says about them, and
//! `cargo xtask codegen` writes `generated` from both.
//!
//! **Invariant:** nothing here is written by hand but the words in which Amazon EC2 refuses an invalid input.

mod error;
mod refusal;

pub use error::Ec2Error;
#[rustfmt::skip]
mod generated;

pub use generated::*;
