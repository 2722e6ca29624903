//! The operations, by the noun that they are about.

pub mod aliases;
pub mod ciphers;
pub mod codes;
pub mod data_keys;
pub mod deletion;
pub mod grants;
pub mod keys;
pub mod policies;
pub mod rotation;
pub mod signatures;
pub mod tagging;
