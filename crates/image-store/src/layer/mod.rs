//! Layers: from a downloaded blob to a directory that overlayfs can stack.
//!
//! **Invariant:** nothing that a layer says is followed outside its own directory. Every path is resolved by the
//! kernel with `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)`; no path of a layer is ever joined to a host path.

mod decompress;
mod limits;
mod metered;
mod path;
pub mod process;
mod root;
mod unpack;

pub use limits::UnpackLimits;
pub use unpack::{UnpackError, Unpacked, unpack_layer};
