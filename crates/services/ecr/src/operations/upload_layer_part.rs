//! `UploadLayerPart`.

use outport_aws_ecr::{
    EcrError, InvalidLayerPartException, UploadLayerPartRequest, UploadLayerPartResponse,
};
use outport_identity::Call;
use outport_image_registry::UploadId;

use crate::EcrService;
use crate::access::target;
use crate::rejection::invalid_parameter;
use crate::service::Target;

pub(crate) async fn upload_layer_part(
    service: &EcrService,
    call: &Call,
    input: UploadLayerPartRequest,
) -> Result<UploadLayerPartResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:UploadLayerPart", registry_id, name).await?;
    let id = upload_id(input.upload_id.as_deref())?;
    let first = input.part_first_byte.unwrap_or_default();
    let last = input.part_last_byte.unwrap_or_default();
    let part = input.layer_part_blob.unwrap_or_default().0;
    let mut upload = target.resume_upload(id).await?;
    target
        .blocking(move |_, target| {
            let received = i64::try_from(upload.offset()).unwrap_or(i64::MAX);
            let length = i64::try_from(part.len()).unwrap_or(i64::MAX);
            if first != received || last.checked_sub(first) != Some(length - 1) {
                return Err(out_of_order(target, id, received));
            }
            upload.append(&part).map_err(|error| target.reject(error))?;
            Ok(UploadLayerPartResponse {
                registry_id: Some(target.scope.account.to_string()),
                repository_name: Some(target.name.to_string()),
                upload_id: Some(id.to_string()),
                last_byte_received: Some(last),
            })
        })
        .await
}

pub(crate) fn upload_id(text: Option<&str>) -> Result<UploadId, EcrError> {
    let constraint = "must be an upload id that InitiateLayerUpload returned";
    text.unwrap_or_default().parse().map_err(|_| invalid_parameter("uploadId", constraint))
}

fn out_of_order(target: &Target, id: UploadId, received: i64) -> EcrError {
    EcrError::from(InvalidLayerPartException {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        upload_id: Some(id.to_string()),
        last_valid_byte_received: Some(received - 1),
        message: Some(format!(
            "Invalid layer part upload for upload with id '{id}' in the {}",
            target.place()
        )),
    })
}
