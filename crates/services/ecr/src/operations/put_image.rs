//! `PutImage`.

use outport_aws_ecr::{EcrError, Image, ImageIdentifier, PutImageRequest, PutImageResponse};
use outport_identity::Call;
use outport_image_registry::{Digest, ImageTag};

use crate::EcrService;
use crate::access::target;
use crate::rejection::invalid_parameter;
use crate::service::Target;

pub(crate) async fn put_image(
    service: &EcrService,
    call: &Call,
    input: PutImageRequest,
) -> Result<PutImageResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:PutImage", registry_id, name).await?;
    let manifest = input.image_manifest.unwrap_or_default();
    let tag = input.image_tag.as_deref().map(tag).transpose()?;
    let digest = input.image_digest.as_deref().map(digest).transpose()?;
    let media_type = input.image_manifest_media_type;
    let now_ms = call.now_ms;
    target
        .blocking(move |registry, target| {
            let put = outport_image_registry::PutImage {
                body: manifest.as_bytes(),
                media_type: media_type.as_deref(),
                tag: tag.as_ref(),
                digest: digest.as_ref(),
            };
            let stored = registry
                .put_image(&target.scope, &target.name, &put, now_ms)
                .map_err(|error| target.reject(error))?;
            let (image_digest, image_tag) =
                (stored.digest.to_string(), tag.map(|tag| tag.to_string()));
            if stored.repeated {
                return Err(already_exists(target, &image_digest, image_tag.as_deref()));
            }
            let image = Image {
                registry_id: Some(target.scope.account.to_string()),
                repository_name: Some(target.name.to_string()),
                image_id: Some(ImageIdentifier { image_digest: Some(image_digest), image_tag }),
                image_manifest: Some(manifest),
                image_manifest_media_type: Some(stored.media_type.as_str().to_owned()),
            };
            Ok(PutImageResponse { image: Some(image) })
        })
        .await
}

/// Source of the text: ECR.
fn already_exists(target: &Target, digest: &str, tag: Option<&str>) -> EcrError {
    let tag = tag.unwrap_or("null");
    EcrError::image_already_exists_exception(format!(
        "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{}' in registry with id '{}'",
        target.name, target.scope.account
    ))
}

fn tag(text: &str) -> Result<ImageTag, EcrError> {
    let constraint = "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9-_.]{0,127}'";
    text.parse().map_err(|_| invalid_parameter("imageTag", constraint))
}

fn digest(text: &str) -> Result<Digest, EcrError> {
    let constraint = "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
    text.parse().map_err(|_| invalid_parameter("imageDigest", constraint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    async fn put(
        fixture: &Fixture,
        manifest: &str,
        tag: &str,
    ) -> Result<PutImageResponse, EcrError> {
        let input = PutImageRequest {
            repository_name: Some("app".into()),
            image_manifest: Some(manifest.into()),
            image_tag: Some(tag.into()),
            ..Default::default()
        };
        put_image(&fixture.service, &fixture.call, input).await
    }

    #[tokio::test]
    async fn an_image_is_put_once_for_each_tag() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let manifest = fixture.manifest("app", b"layer");
        let image = put(&fixture, &manifest, "1").await.expect("stored").image.expect("an image");
        let digest = image.image_id.and_then(|id| id.image_digest).expect("a digest");
        put(&fixture, &manifest, "2").await.expect("another tag");
        let again = put(&fixture, &manifest, "1").await;
        let expected = format!(
            "Image with digest '{digest}' and tag '1' already exists in the repository with name 'app' in registry with id '000000000000'"
        );
        assert_eq!(again, Err(EcrError::image_already_exists_exception(expected)));
        let missing = format!("sha256:{}", "1".repeat(64));
        let lacking = manifest.replace(&fixture.digest_of(b"layer"), &missing);
        let expected = format!(
            "Layers with digests '[{missing}]' required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist"
        );
        assert_eq!(
            put(&fixture, &lacking, "3").await,
            Err(EcrError::layers_not_found_exception(expected))
        );
        let bad = put(&fixture, "{", "3").await;
        assert!(bad.is_err_and(|error| error.to_string().contains("'imageManifest'")));
        let bad = put(&fixture, &manifest, "-").await;
        assert!(bad.is_err_and(|error| error.to_string().contains("'imageTag'")));
    }
}
