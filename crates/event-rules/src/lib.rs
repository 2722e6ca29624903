//! What EventBridge's rules say: which events a pattern matches, when a schedule fires, what a target is handed.
//!
//! ```text
//! pattern   an event pattern: compiled from its text, then asked about events
//! retry     when a delivery that failed is tried again
//! schedule  rate(…) and cron(…): when they fire next
//! envelope  the whole of an event
//! input     InputPath and InputTransformer: what is made of an event for a target
//! ```
//!
//! **Invariant:** the answer follows from the texts and the time that are handed in alone: nothing here reads a clock, and nothing that
//! compiles fails later.

pub mod envelope;
pub mod input;
pub mod json_path;
pub mod pattern;
pub mod retry;
pub mod schedule;

mod calendar;
mod compile;
mod cron;
mod matcher;
mod wildcard;

pub use envelope::Envelope;
pub use input::{InputFault, RuleFacts};
pub use pattern::{Pattern, PatternFault};
pub use schedule::Schedule;
