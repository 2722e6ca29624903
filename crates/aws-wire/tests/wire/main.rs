//! Readers, writers and validation over one hand-made shape, in every protocol.

mod decoding;
mod encoding;
mod errors;
mod hostile;
mod sample;
mod storage;
mod validation;
