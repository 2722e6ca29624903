//! One file per operation, named after it.

pub(crate) mod batch_check_layer_availability;
pub(crate) mod batch_delete_image;
pub(crate) mod batch_get_image;
pub(crate) mod complete_layer_upload;
pub(crate) mod create_repository;
pub(crate) mod delete_repository;
pub(crate) mod describe_image_scan_findings;
pub(crate) mod describe_images;
pub(crate) mod describe_repositories;
pub(crate) mod get_authorization_token;
pub(crate) mod get_download_url_for_layer;
pub(crate) mod get_lifecycle_policy;
pub(crate) mod get_repository_policy;
pub(crate) mod initiate_layer_upload;
pub(crate) mod list_images;
pub(crate) mod list_tags_for_resource;
pub(crate) mod put_image;
pub(crate) mod put_image_tag_mutability;
pub(crate) mod tag_resource;
pub(crate) mod untag_resource;
pub(crate) mod upload_layer_part;
