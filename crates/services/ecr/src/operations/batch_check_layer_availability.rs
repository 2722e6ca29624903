//! `BatchCheckLayerAvailability`.

use outport_aws_ecr::{
    BatchCheckLayerAvailabilityRequest, BatchCheckLayerAvailabilityResponse, EcrError, Layer,
    LayerAvailability, LayerFailure, LayerFailureCode,
};
use outport_identity::Call;
use outport_image_registry::{Digest, RegistryError};

use crate::EcrService;
use crate::access::target;

/// What ECR says of every layer: it does not keep the media type of blobs.
const MEDIA_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

pub(crate) async fn batch_check_layer_availability(
    service: &EcrService,
    call: &Call,
    input: BatchCheckLayerAvailabilityRequest,
) -> Result<BatchCheckLayerAvailabilityResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let action = "ecr:BatchCheckLayerAvailability";
    let target = target(service, call, action, registry_id, name).await?;
    let digests = input.layer_digests.unwrap_or_default();
    let now_ms = call.now_ms;
    target
        .blocking(move |registry, target| {
            registry
                .repository(&target.scope, &target.name)
                .map_err(|error| target.reject(error))?;
            let (mut layers, mut failures) = (Vec::new(), Vec::new());
            for text in digests {
                let Ok(digest) = text.parse::<Digest>() else {
                    failures.push(invalid(text));
                    continue;
                };
                match registry.blob(&target.scope, &target.name, &digest, now_ms) {
                    Ok(blob) => layers.push(Layer {
                        layer_digest: Some(text),
                        layer_availability: Some(LayerAvailability::Available),
                        layer_size: i64::try_from(blob.size_bytes).ok(),
                        media_type: Some(MEDIA_TYPE.to_owned()),
                    }),
                    Err(RegistryError::BlobNotFound(_)) => layers.push(Layer {
                        layer_digest: Some(text),
                        layer_availability: Some(LayerAvailability::Unavailable),
                        ..Layer::default()
                    }),
                    Err(error) => return Err(target.reject(error)),
                }
            }
            Ok(BatchCheckLayerAvailabilityResponse {
                layers: Some(layers),
                failures: Some(failures),
            })
        })
        .await
}

fn invalid(digest: String) -> LayerFailure {
    let reason = "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
    LayerFailure {
        layer_digest: Some(digest),
        failure_code: Some(LayerFailureCode::InvalidLayerDigest),
        failure_reason: Some(reason.to_owned()),
    }
}
