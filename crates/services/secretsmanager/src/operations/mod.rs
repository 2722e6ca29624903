//! The operations, by the noun that they are about.

pub mod batch;
pub mod deletion;
pub mod lists;
pub mod passwords;
pub mod resource_policies;
pub mod rotation;
pub mod secrets;
pub mod stages;
pub mod tagging;
pub mod values;
