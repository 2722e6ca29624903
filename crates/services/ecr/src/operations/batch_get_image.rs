//! `BatchGetImage`.

use outport_aws_ecr::{
    BatchGetImageRequest, BatchGetImageResponse, EcrError, Image, ImageFailure, ImageIdentifier,
};
use outport_aws_wire::WireError;
use outport_identity::{Call, Subject};
use outport_image_registry::{
    AccessDenied, ImageSource, NotTaken, Registry, RegistryCaller, RegistryError, WantedImage,
};
use outport_model::{Scope, Tags};

use crate::EcrService;
use crate::access::{self, target};
use crate::image_id::{Failure, selector};
use crate::service::Target;

pub(crate) async fn batch_get_image(
    service: &EcrService,
    call: &Call,
    input: BatchGetImageRequest,
) -> Result<BatchGetImageResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let mut found = target(service, call, "ecr:BatchGetImage", registry_id, name).await?;
    let ids = input.image_ids.unwrap_or_default();
    if take(service, call, &found, &ids).await? {
        // The repository may have been made meanwhile.
        found = target(service, call, "ecr:BatchGetImage", registry_id, name).await?;
    }
    let target = found;
    let accepted = input.accepted_media_types.unwrap_or_default();
    let now_ms = call.now_ms;
    target
        .blocking(move |registry, target| {
            registry
                .repository(&target.scope, &target.name)
                .map_err(|error| target.reject(error))?;
            let (mut images, mut failures): (Vec<Image>, Vec<ImageFailure>) = Default::default();
            for id in &ids {
                match get(registry, target, id, &accepted, now_ms) {
                    Ok(Ok(image)) => images.push(image),
                    Ok(Err(failure)) => failures.push(failure.about(id)),
                    Err(error) => return Err(target.reject(error)),
                }
            }
            Ok(BatchGetImageResponse { images: Some(images), failures: Some(failures) })
        })
        .await
}

/// Has images of another registry taken, as a pull at the registry's endpoint does. Whether anything may have changed.
async fn take(
    service: &EcrService,
    call: &Call,
    target: &Target,
    ids: &[ImageIdentifier],
) -> Result<bool, EcrError> {
    let mut is_changed = false;
    let caller = ApiCaller { call, scope: &target.scope };
    for reference in ids.iter().filter_map(|id| selector(id).ok()) {
        let wanted = WantedImage {
            scope: target.scope.clone(),
            repository: target.name.clone(),
            reference,
            now_ms: call.now_ms,
        };
        match service.cache.prepare(&caller, wanted).await {
            Ok(changed) => is_changed |= changed,
            // As any image that is not there.
            Err(NotTaken::NotThere(_)) => {}
            Err(NotTaken::Denied(denied)) => {
                return Err(WireError::access_denied(denied.message).into());
            }
            Err(NotTaken::Failed(text)) => {
                return Err(EcrError::unable_to_get_upstream_image_exception(text));
            }
        }
    }
    Ok(is_changed)
}

/// Who calls the API, as one who pulls.
struct ApiCaller<'a> {
    call: &'a Call,
    scope: &'a Scope,
}

impl RegistryCaller for ApiCaller<'_> {
    fn scope(&self) -> &Scope {
        self.scope
    }

    fn authorize(
        &self,
        action: &'static str,
        resource: &str,
        tags: &Tags,
        policy: Option<&str>,
    ) -> Result<(), AccessDenied> {
        self.authorize_in_registry(action, resource, tags, (policy, None))
    }

    fn authorize_in_registry(
        &self,
        action: &'static str,
        resource: &str,
        tags: &Tags,
        policies: (Option<&str>, Option<&str>),
    ) -> Result<(), AccessDenied> {
        let question = access::question_by(action, resource, tags, policies);
        let opened = self.call.open(Subject::from(question));
        opened.map_err(|denied| AccessDenied { message: denied.message })
    }
}

/// One image, or why it is not there; the outer error ends the whole request.
fn get(
    registry: &Registry,
    target: &Target,
    id: &ImageIdentifier,
    accepted: &[String],
    now_ms: i64,
) -> Result<Result<Image, Failure>, RegistryError> {
    let selector = match selector(id) {
        Ok(selector) => selector,
        Err(failure) => return Ok(Err(failure)),
    };
    let image = match registry.image(&target.scope, &target.name, &selector) {
        Ok(image) => image,
        Err(error) => return Failure::of(error).map(Err),
    };
    let media_type = image.media_type.as_str();
    if !accepted.is_empty() && !accepted.iter().any(|one| one == media_type) {
        return Ok(Err(Failure::not_accepted(media_type)));
    }
    registry.note_pull(&target.scope, &target.name, &image.digest, now_ms)?;
    let image_digest = Some(image.digest.to_string());
    Ok(Ok(Image {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        image_id: Some(ImageIdentifier { image_digest, image_tag: id.image_tag.clone() }),
        // What was not UTF-8 was not JSON, and was refused when it was pushed.
        image_manifest: Some(String::from_utf8_lossy(&image.body).into_owned()),
        image_manifest_media_type: Some(media_type.to_owned()),
    }))
}

#[cfg(test)]
mod tests {
    use outport_aws_ecr::ImageFailureCode;

    use super::*;
    use crate::testing::{Fixture, digested, tagged};

    #[tokio::test]
    async fn what_is_there_is_returned_and_the_rest_is_a_failure() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let digest = fixture.push("app", "1", b"layer").await;
        let other = format!("sha256:{}", "0".repeat(64));
        let both =
            ImageIdentifier { image_digest: Some(other.clone()), image_tag: Some("1".into()) };
        let ids = vec![
            tagged("1"),
            digested(&digest),
            tagged("2"),
            digested(&other),
            digested("sha256:zz"),
            ImageIdentifier::default(),
            both,
        ];
        let input = BatchGetImageRequest {
            repository_name: Some("app".into()),
            image_ids: Some(ids),
            ..Default::default()
        };
        let answer = batch_get_image(&fixture.service, &fixture.call, input.clone()).await;
        let answer = answer.expect("an answer");
        let images = answer.images.expect("a list");
        assert_eq!(images.len(), 2);
        for image in &images {
            let id = image.image_id.clone().expect("an id");
            assert_eq!(id.image_digest.as_deref(), Some(digest.as_str()));
            assert!(image.image_manifest.as_deref().is_some_and(|text| text.starts_with('{')));
        }
        let codes = answer.failures.expect("a list");
        let codes: Vec<_> = codes.into_iter().filter_map(|failure| failure.failure_code).collect();
        use ImageFailureCode::*;
        let expected = [
            ImageNotFound,
            ImageNotFound,
            InvalidImageDigest,
            MissingDigestAndTag,
            ImageTagDoesNotMatchDigest,
        ];
        assert_eq!(codes, expected);
        let none = BatchGetImageRequest { accepted_media_types: Some(vec!["x".into()]), ..input };
        let none = batch_get_image(&fixture.service, &fixture.call, none).await.expect("an answer");
        assert_eq!(none.images, Some(vec![]));
    }
}
