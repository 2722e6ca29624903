//! Layers that try to get out, or to cost too much. Needs root. A canary tree stands around the layer's directory;
//! it is compared after every case.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bombs;
mod canary;
mod entries;
mod links;
mod names;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
