//! Amazon EventBridge: buses, rules with their targets, and events that callers send.
//!
//! **Invariant:** a rule that is in the store has a pattern that compiles or a schedule that fires, and targets that can be delivered to;
//! an event that was acknowledged is in the store until it was delivered.

mod handler;
mod hears;
mod look;
mod names;
pub mod operations;
mod page;
mod quotas;
mod rejection;
mod service;
mod tags;
mod view;

#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;
pub use service::EventsService;
