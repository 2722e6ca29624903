//! Reasons of the registry as AWS's exceptions, with AWS's texts.

use outport_aws_ecr::EcrError;
use outport_aws_wire::WireError;
use outport_image_registry::{Digest, RegistryError, RepositoryName};
use outport_model::Scope;

/// `name` is the repository that the operation was about.
pub(crate) fn rejection(
    error: RegistryError,
    scope: &Scope,
    name: Option<&RepositoryName>,
) -> EcrError {
    let message = error.to_string();
    let name = name.map(ToString::to_string).unwrap_or_default();
    let place =
        format!("repository with name '{name}' in the registry with id '{}'", scope.account);
    match error {
        RegistryError::RepositoryNotFound { .. } => {
            EcrError::repository_not_found_exception(message)
        }
        RegistryError::RepositoryAlreadyExists { .. } => {
            EcrError::repository_already_exists_exception(message)
        }
        RegistryError::RepositoryNotEmpty { .. } => {
            EcrError::repository_not_empty_exception(message)
        }
        RegistryError::ImageNotFound(_) | RegistryError::TagDoesNotMatchDigest => {
            EcrError::image_not_found_exception(message)
        }
        RegistryError::TagImmutable { .. } => EcrError::image_tag_already_exists_exception(message),
        RegistryError::ManifestInvalid(reason) => invalid_parameter("imageManifest", &reason),
        RegistryError::ManifestDigestMismatch { .. } => {
            EcrError::image_digest_does_not_match_exception(message)
        }
        RegistryError::LayersNotFound(digests) => EcrError::layers_not_found_exception(format!(
            "Layers with digests '{}' required for pushing image into {place} do not exist",
            list(&digests)
        )),
        RegistryError::ReferencedImagesNotFound(digests) => {
            EcrError::referenced_images_not_found_exception(format!(
                "Images with digests '{}' required for pushing image into {place} do not exist",
                list(&digests)
            ))
        }
        RegistryError::BlobNotFound(digest) => EcrError::layers_not_found_exception(format!(
            "Layer with digest '{digest}' does not exist in the {place}"
        )),
        RegistryError::UploadNotFound(id) => EcrError::upload_not_found_exception(format!(
            "Upload with id '{id}' could not be found for the {place}"
        )),
        RegistryError::BlobDigestMismatch { .. } => EcrError::invalid_layer_exception(message),
        RegistryError::BlobTooLarge { .. }
        | RegistryError::LimitExceeded { .. }
        | RegistryError::QuotaExceeded { .. } => EcrError::limit_exceeded_exception(message),
        RegistryError::UploadBusy => EcrError::invalid_layer_part_exception(message),
        // No operation here asks for these; the endpoint of the registry does.
        RegistryError::ReferencedByManifestList(_) | RegistryError::BlobInUse(_) => {
            EcrError::invalid_parameter_exception(message)
        }
        // Worth another try, which clients make after this by themselves.
        RegistryError::RepositoryChanged { .. } => EcrError::server_exception(message),
        RegistryError::DiskFull => {
            let full = WireError::from(EcrError::server_exception(&message));
            full.with_log_message(message).into()
        }
        RegistryError::Storage { .. }
        | RegistryError::Metadata(_)
        | RegistryError::Damaged { .. }
        | RegistryError::FormatTooNew { .. } => WireError::internal(message).into(),
    }
}

/// Source of the text: ECR.
pub(crate) fn invalid_parameter(parameter: &str, constraint: &str) -> EcrError {
    EcrError::invalid_parameter_exception(format!(
        "Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'"
    ))
}

fn list(digests: &[Digest]) -> String {
    let texts: Vec<String> = digests.iter().map(Digest::to_string).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region};

    use super::*;

    #[test]
    fn a_full_disk_is_a_fault_of_the_server_for_the_log_too() {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let answer = WireError::from(rejection(RegistryError::DiskFull, &scope, None));
        let said = RegistryError::DiskFull.to_string();
        assert_eq!(
            (answer.code_in(outport_aws_wire::Protocol::Json11), answer.log_message.clone()),
            ("ServerException", Some(said))
        );
    }
}
