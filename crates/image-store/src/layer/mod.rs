//! Layers: from a downloaded blob to a directory that overlayfs can stack.
//!
//! | what an image may try | what keeps it out |
//! |---|---|
//! | names, links, devices that lead out | one directory descriptor, `openat2` ([`root`]); Landlock |
//! | trees deeper than their names, or than a stack | real depth is bounded ([`root`]); `outport-tree-removal` |
//! | directories that are only implied, in every layer | bounded for the layer and for the image ([`directories`]) |
//! | holes, claims, bombs, headers without an end | all that is claimed is metered before it is made ([`metered`], [`archive`]) |
//! | layers without an end, loops that cost time | limits on time and processor ([`limits`], [`process`]) |
//! | a bug in a decompressor or here | a process with neither rights nor calls ([`confinement`]) |
//! | names for overlayfs (`trusted.overlay.*`) | left out; whiteouts and opaque directories are made here only |
//!
//! **Invariant:** nothing that a layer says is followed outside its own directory. Every path is resolved by the
//! kernel with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`; no path of a layer is ever joined to a host path.

mod archive;
mod confinement;
mod decompress;
pub(crate) mod directories;
mod limits;
mod metered;
mod path;
mod pax;
pub mod process;
mod root;
mod unpack;

pub(crate) use limits::LIMIT_ON_BYTES;
pub use limits::UnpackLimits;
pub(crate) use path::LayerPath;
pub use unpack::{UnpackError, Unpacked, unpack_layer};
