//! What the image tests share: tar files written byte by byte, and a registry in this process.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod registry;
pub mod tarball;
