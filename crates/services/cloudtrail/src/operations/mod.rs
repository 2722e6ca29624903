//! The operations that are built, one file each.

pub mod lookup_events;
