//! Readers, writers and validation over one hand-made shape, in every protocol.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod decoding;
mod encoding;
mod errors;
mod hostile;
mod sample;
mod storage;
mod validation;
