//! The tests of containers without a user namespace, as on a node that has none and in network mode `host`: those of
//! `containers` that look at what a container is and may do. Needs what those need.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]
#![allow(clippy::disallowed_methods, reason = "what a test makes is no secret")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]
#![allow(dead_code, reason = "not all tests that use the host are here")]

#[path = "../containers/capabilities.rs"]
mod capabilities;
#[path = "../containers/default_profile.rs"]
mod default_profile;
#[path = "../containers/escapes.rs"]
mod escapes;
#[path = "../containers/health.rs"]
mod health;
#[path = "../containers/host.rs"]
mod host;
#[path = "../containers/hostile_images.rs"]
mod hostile_images;
#[path = "../containers/isolation.rs"]
mod isolation;
#[path = "../containers/keys.rs"]
mod keys;
#[path = "../containers/lifecycle.rs"]
mod lifecycle;
#[path = "../containers/limits.rs"]
mod limits;
#[path = "../containers/privacy.rs"]
mod privacy;
#[path = "../containers/start_failures.rs"]
mod start_failures;
#[path = "../containers/system_calls.rs"]
mod system_calls;
#[path = "../containers/text_files.rs"]
mod text_files;
#[path = "../containers/users.rs"]
mod users;
#[path = "../containers/volumes.rs"]
mod volumes;
