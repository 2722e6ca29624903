//! One file per AWS operation, named after it.

pub mod get_caller_identity;
