//! `BatchDeleteImage`.

use outport_aws_ecr::{
    BatchDeleteImageRequest, BatchDeleteImageResponse, EcrError, ImageFailure, ImageIdentifier,
};
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;
use crate::image_id::{Failure, selector};

/// By tag, the tag goes, and the image with its last one; by digest, the image goes with all its tags.
pub(crate) async fn batch_delete_image(
    service: &EcrService,
    call: &Call,
    input: BatchDeleteImageRequest,
) -> Result<BatchDeleteImageResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:BatchDeleteImage", registry_id, name).await?;
    let ids = input.image_ids.unwrap_or_default();
    target
        .blocking(move |registry, target| {
            registry
                .repository(&target.scope, &target.name)
                .map_err(|error| target.reject(error))?;
            let mut deleted: Vec<ImageIdentifier> = Vec::new();
            let mut failures: Vec<ImageFailure> = Vec::new();
            for id in &ids {
                let selector = match selector(id) {
                    Ok(selector) => selector,
                    Err(failure) => {
                        failures.push(failure.about(id));
                        continue;
                    }
                };
                match registry.delete_image(&target.scope, &target.name, &selector) {
                    Ok(names) => deleted.extend(names.into_iter().map(|name| ImageIdentifier {
                        image_digest: Some(name.digest.to_string()),
                        image_tag: name.tag.map(|tag| tag.to_string()),
                    })),
                    Err(error) => {
                        let failure = Failure::of(error).map_err(|error| target.reject(error))?;
                        failures.push(failure.about(id));
                    }
                }
            }
            Ok(BatchDeleteImageResponse { image_ids: Some(deleted), failures: Some(failures) })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, digested, tagged};

    async fn delete(fixture: &Fixture, ids: Vec<ImageIdentifier>) -> BatchDeleteImageResponse {
        let input = BatchDeleteImageRequest {
            repository_name: Some("app".into()),
            image_ids: Some(ids),
            ..Default::default()
        };
        batch_delete_image(&fixture.service, &fixture.call, input).await.expect("an answer")
    }

    #[tokio::test]
    async fn the_image_goes_with_its_last_tag() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let digest = fixture.push("app", "1", b"layer").await;
        fixture.push("app", "2", b"layer").await;
        let named = |tag: &str| ImageIdentifier {
            image_digest: Some(digest.clone()),
            image_tag: Some(tag.into()),
        };
        assert_eq!(delete(&fixture, vec![tagged("1")]).await.image_ids, Some(vec![named("1")]));
        assert_eq!(fixture.image_count("app"), 1);
        assert_eq!(delete(&fixture, vec![tagged("2")]).await.image_ids, Some(vec![named("2")]));
        assert_eq!(fixture.image_count("app"), 0);
        let gone = delete(&fixture, vec![tagged("2")]).await;
        let reason = gone.failures.and_then(|mut failures| failures.remove(0).failure_reason);
        assert_eq!(reason.as_deref(), Some("Requested image not found"));
    }

    #[tokio::test]
    async fn by_digest_all_its_tags_go() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let digest = fixture.push("app", "1", b"layer").await;
        fixture.push("app", "2", b"layer").await;
        let deleted = delete(&fixture, vec![digested(&digest)]).await.image_ids.expect("a list");
        assert_eq!(deleted.len(), 2);
        assert_eq!(fixture.image_count("app"), 0);
    }

    #[tokio::test]
    async fn an_image_of_a_list_stays() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let image = fixture.push("app", "1", b"layer").await;
        let list = fixture.push_index("app", "multi", &image);
        let refused = delete(&fixture, vec![digested(&image)]).await.failures.expect("a list");
        let expected = format!("Requested image referenced by manifest list: [{list}]");
        assert_eq!(refused[0].failure_reason, Some(expected));
        let both = delete(&fixture, vec![digested(&list), digested(&image)]).await;
        assert_eq!(both.failures, Some(vec![]));
        assert_eq!(fixture.image_count("app"), 0);
    }
}
