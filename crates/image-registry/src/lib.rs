//! The image registry behind Amazon ECR: the OCI distribution endpoint (`/v2/…`) and the blobs,
//! manifests and tags that it serves.
//!
//! - [`Registry`] keeps everything: blobs as files named by their digest, the rest in one SQLite file.
//!   Its methods block for as long as a disk does; nothing here needs the control plane to be up.
//! - [`http::router`] speaks the OCI distribution protocol over a [`Registry`], and asks a
//!   [`RegistryAuthorizer`] before it touches anything.
//! - [`HostIntegration`] is what the tools on this host must be told about the address.
//!
//! **Invariant:** a blob exists only under the digest of its bytes, and only after those bytes are on
//! disk; a repository sees only the blobs that were uploaded or mounted into it; a manifest in a
//! repository never refers to a blob that the repository does not have. Nothing here decides who may do
//! what: that is asked, every time, through [`RegistryCaller::authorize`].

mod authorizer;
mod blob_download;
mod blob_store;
mod digest;
mod error;
mod garbage;
mod host_integration;
pub mod http;
mod image;
mod image_listing;
mod image_source;
mod lifecycle;
mod limits;
mod manifest;
mod metadata;
mod names;
mod registry;
mod registry_setting;
mod repository;
mod repository_blob;
mod room;
mod schema;
mod seen_repository;
mod tag_mutability;
mod upload;
mod upload_session;

pub use authorizer::{
    AccessDenied, AuthenticationError, EndedRequest, RegistryAuthorizer, RegistryCaller,
};
pub use blob_download::BlobDownload;
pub use digest::{Algorithm, Digest};
pub use error::RegistryError;
pub use garbage::Collected;
pub use host_integration::HostIntegration;
pub use image::{DeletedImage, Image, ImageSelector, PutImage, StoredManifest};
pub use image_listing::{ImageDetail, ImagePosition, ListedImage, TagStatus};
pub use image_source::{ImageSource, NotTaken, WantedImage};
pub use lifecycle::{
    ExpiringImage, LifecyclePolicy, LifecyclePreview, LifecycleState, MalformedLifecyclePolicy,
};
pub use limits::Limits;
pub use manifest::{ImageBlobs, MANIFEST_BYTES_MAX, MediaType};
pub use names::{ImageTag, RepositoryName, repository_arn};
pub use registry::Registry;
pub use registry_setting::RegistrySetting;
pub use repository::{NewRepository, Repository};
pub use repository_blob::StoredBlob;
pub use seen_repository::SeenRepository;
pub use tag_mutability::{TagMutability, matches_wildcard};
pub use upload::{Checkpoint, Upload, UploadId};
