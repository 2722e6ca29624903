//! The operations of CloudWatch Logs over the log store: what a request may say, who may say it, and
//! how the store's answers and refusals read in AWS's words.
//!
//! **Invariant:** an operation asks for authorization before it reads or changes any event, and keeps
//! nothing of its own: all state is the store's.

mod access;
mod arns;
mod handler;
mod operations;
mod page;
mod rejection;
mod service;
mod tags;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

pub use service::{LogsService, stream_question};
