//! The operations, by the noun that they are about.

pub mod deletion;
pub mod labels;
pub mod lists;
pub mod put;
pub mod read;
pub mod tagging;
