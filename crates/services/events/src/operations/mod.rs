//! The operations, one file per noun.

pub mod buses;
pub mod events;
pub mod lists;
pub mod rules;
pub mod tagging;
pub mod targets;
