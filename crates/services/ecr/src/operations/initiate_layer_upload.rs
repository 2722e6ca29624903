//! `InitiateLayerUpload`.

use outport_aws_ecr::{EcrError, InitiateLayerUploadRequest, InitiateLayerUploadResponse};
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;

/// The size of a part that a client should send, in bytes. Source: what ECR answers.
pub(crate) const PART_BYTES: i64 = 10 * 1024 * 1024;

pub(crate) async fn initiate_layer_upload(
    service: &EcrService,
    call: &Call,
    input: InitiateLayerUploadRequest,
) -> Result<InitiateLayerUploadResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:InitiateLayerUpload", registry_id, name).await?;
    let now_ms = call.now_ms;
    let id = target
        .blocking(move |registry, target| {
            let started = registry.start_upload(&target.scope, &target.name, now_ms);
            started.map_err(|error| target.reject(error))
        })
        .await?;
    Ok(InitiateLayerUploadResponse { upload_id: Some(id.to_string()), part_size: Some(PART_BYTES) })
}
