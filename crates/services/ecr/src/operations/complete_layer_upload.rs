//! `CompleteLayerUpload`.

use outport_aws_ecr::{CompleteLayerUploadRequest, CompleteLayerUploadResponse, EcrError};
use outport_identity::Call;
use outport_image_registry::{Algorithm, Digest, RegistryError};

use crate::EcrService;
use crate::access::target;
use crate::operations::upload_layer_part::upload_id;

/// One of the digests must be the SHA-256 of the bytes; digests of other kinds are for other clients.
pub(crate) async fn complete_layer_upload(
    service: &EcrService,
    call: &Call,
    input: CompleteLayerUploadRequest,
) -> Result<CompleteLayerUploadResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:CompleteLayerUpload", registry_id, name).await?;
    let id = upload_id(input.upload_id.as_deref())?;
    let given = input.layer_digests.unwrap_or_default();
    let now_ms = call.now_ms;
    let mut upload = target.resume_upload(id).await?;
    target
        .blocking(move |registry, target| {
            let reject = |error| target.reject(error);
            if upload.offset() == 0 {
                return Err(EcrError::empty_upload_exception(format!(
                    "Upload with id '{id}' in the {} has no parts",
                    target.place()
                )));
            }
            let actual = upload.digest(Algorithm::Sha256).map_err(reject)?;
            if !given.iter().any(|text| text.parse::<Digest>().as_ref() == Ok(&actual)) {
                upload.discard().map_err(reject)?;
                return Err(EcrError::invalid_layer_exception(format!(
                    "The digest of the uploaded layer is '{actual}', which is not among '[{}]'",
                    given.join(", ")
                )));
            }
            match registry.blob(&target.scope, &target.name, &actual, now_ms) {
                Err(RegistryError::BlobNotFound(_)) => {}
                Err(error) => return Err(reject(error)),
                Ok(_) => {
                    upload.discard().map_err(reject)?;
                    return Err(EcrError::layer_already_exists_exception(format!(
                        "Layer with digest '{actual}' already exists in the {}",
                        target.place()
                    )));
                }
            }
            let blob = upload.finish(&actual, now_ms).map_err(reject)?;
            Ok(CompleteLayerUploadResponse {
                registry_id: Some(target.scope.account.to_string()),
                repository_name: Some(target.name.to_string()),
                upload_id: Some(id.to_string()),
                layer_digest: Some(blob.digest.to_string()),
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use outport_aws_ecr::{
        BatchCheckLayerAvailabilityRequest, EcrHandler, InitiateLayerUploadRequest,
        LayerAvailability, UploadLayerPartRequest,
    };
    use outport_aws_wire::Blob;

    use super::*;
    use crate::testing::Fixture;

    async fn start(fixture: &Fixture) -> String {
        let input = InitiateLayerUploadRequest {
            repository_name: Some("app".into()),
            ..Default::default()
        };
        let started = fixture.service.initiate_layer_upload(&fixture.call, input).await;
        started.expect("a session").upload_id.expect("an id")
    }

    async fn part(fixture: &Fixture, id: &str, first: i64, bytes: &[u8]) -> Result<i64, EcrError> {
        let input = UploadLayerPartRequest {
            repository_name: Some("app".into()),
            upload_id: Some(id.into()),
            part_first_byte: Some(first),
            part_last_byte: Some(first + bytes.len() as i64 - 1),
            layer_part_blob: Some(Blob(bytes.to_vec())),
            ..Default::default()
        };
        let sent = fixture.service.upload_layer_part(&fixture.call, input).await;
        sent.map(|answer| answer.last_byte_received.unwrap_or_default())
    }

    async fn complete(fixture: &Fixture, id: &str, bytes: &[u8]) -> Result<String, EcrError> {
        let input = CompleteLayerUploadRequest {
            repository_name: Some("app".into()),
            upload_id: Some(id.into()),
            layer_digests: Some(vec![fixture.digest_of(bytes)]),
            ..Default::default()
        };
        let done = fixture.service.complete_layer_upload(&fixture.call, input).await;
        done.map(|answer| answer.layer_digest.unwrap_or_default())
    }

    #[tokio::test]
    async fn a_layer_is_uploaded_in_parts() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let id = start(&fixture).await;
        assert!(matches!(
            complete(&fixture, &id, b"").await,
            Err(EcrError::EmptyUploadException(_))
        ));
        assert_eq!(part(&fixture, &id, 0, b"first ").await, Ok(5));
        let Err(EcrError::InvalidLayerPartException(error)) = part(&fixture, &id, 7, b"x").await
        else {
            panic!("a part that is not next is refused");
        };
        assert_eq!(error.last_valid_byte_received, Some(5));
        assert_eq!(part(&fixture, &id, 6, b"second").await, Ok(11));
        let digest = complete(&fixture, &id, b"first second").await.expect("a layer");
        assert_eq!(digest, fixture.digest_of(b"first second"));
        assert!(matches!(
            complete(&fixture, &id, b"").await,
            Err(EcrError::UploadNotFoundException(_))
        ));

        let missing = fixture.digest_of(b"missing");
        let input = BatchCheckLayerAvailabilityRequest {
            repository_name: Some("app".into()),
            layer_digests: Some(vec![digest, missing, "sha256:zz".into()]),
            ..Default::default()
        };
        let answer = fixture.service.batch_check_layer_availability(&fixture.call, input).await;
        let answer = answer.expect("an answer");
        let layers = answer.layers.expect("a list");
        let found: Vec<_> =
            layers.iter().map(|layer| (layer.layer_availability, layer.layer_size)).collect();
        let expected = [
            (Some(LayerAvailability::Available), Some(12)),
            (Some(LayerAvailability::Unavailable), None),
        ];
        assert_eq!(found, expected);
        assert_eq!(answer.failures.expect("a list").len(), 1);
    }

    #[tokio::test]
    async fn a_wrong_digest_or_a_known_layer_ends_the_session() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        for (bytes, digest_of) in [(b"right", b"wrong"), (b"right", b"right"), (b"right", b"right")]
        {
            let id = start(&fixture).await;
            part(&fixture, &id, 0, bytes).await.expect("a part");
            let done = complete(&fixture, &id, digest_of).await;
            if digest_of == b"wrong" {
                assert!(matches!(done, Err(EcrError::InvalidLayerException(_))));
            } else if let Err(error) = done {
                assert!(matches!(error, EcrError::LayerAlreadyExistsException(_)), "{error}");
            }
            let again = complete(&fixture, &id, bytes).await;
            assert!(matches!(again, Err(EcrError::UploadNotFoundException(_))));
        }
    }
}
