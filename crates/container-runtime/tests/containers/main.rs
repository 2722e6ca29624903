//! Containers for real: needs root, cgroups and overlayfs, and a static busybox.
//!
//! One binary, so that it can be run whole inside a guest of another kernel or cgroup version:
//! `OUTPORT_TEST_SHIM` and `OUTPORT_TEST_BUSYBOX` then say where the two programs are.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]
#![allow(clippy::disallowed_methods, reason = "what a test makes is no secret")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]

mod adoption;
mod capabilities;
mod default_profile;
mod escapes;
mod health;
mod host;
mod hostile_images;
mod isolation;
mod keys;
mod lifecycle;
mod limits;
mod logs;
mod metadata;
mod oom_shapes;
mod privacy;
mod races;
mod removal;
mod start_failures;
mod stress;
mod system_calls;
mod text_files;
mod unanswering;
mod user_namespaces;
mod users;
mod versions;
mod volumes;
