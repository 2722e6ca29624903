//! The images of a node: pulled from registries, unpacked once per layer, stacked by overlayfs, swept when unused.
//!
//! ```text
//! <dir>/images/<manifest digest>.json   what an image is made of; an image without this file does not exist
//! <dir>/layers/<diff id>/               one unpacked layer, complete: it is renamed into place
//! <dir>/layers/<manifest digest>/       directories that upper layers of an image only imply (see layer::directories)
//! <dir>/marks/<diff id>.json            what a layer says of directories that it shares, if it does (see marks)
//! <dir>/tmp/, <dir>/trash/              work in progress and work to throw away; emptied when the store opens
//! ```
//!
//! **Invariant:** a directory under `layers/` holds exactly the content of its diff id: blob digest and diff id are
//! verified before the rename, and a layer that a power loss could have hurt is dropped when the store opens.
//! Nothing here executes or trusts anything of an image; what is absent is any API to build or push one.

mod digest;
mod download;
mod error;
mod image;
pub mod layer;
mod lease;
mod manifest;
mod marks;
mod pull;
mod records;
mod reference;
mod registry;
mod resolve;
mod room;
mod source;
mod store;
mod sweep;
mod trash;
mod upstream;
mod work;

pub use digest::{Digest, InvalidDigest};
pub use download::DownloadLimits;
pub use error::PullError;
pub use image::Image;
pub use layer::process::Unpacker;
pub use layer::{UnpackError, UnpackLimits};
pub use lease::LayerHold;
pub use manifest::{ImageConfig, ManifestError, Platform};
pub use reference::{ImageReference, InvalidReference};
pub use registry::{
    Credentials, HostNetwork, Nearness, Network, OwnRegistry, RawManifest, RegistryEndpoint,
    RegistryError, nearness,
};
pub use store::{ImageStore, StoreError, StoreOptions};
pub use sweep::{SweepPolicy, Swept};
pub use upstream::UpstreamRegistries;
