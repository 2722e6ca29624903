//! `UntagResource`.

use outport_aws_ecr::{EcrError, UntagResourceRequest, UntagResourceResponse};
use outport_identity::Call;

use crate::EcrService;
use crate::access::{authorize, resource_context};
use crate::operations::tag_resource::repository_of;

pub(crate) async fn untag_resource(
    service: &EcrService,
    call: &Call,
    input: UntagResourceRequest,
) -> Result<UntagResourceResponse, EcrError> {
    let arn = input.resource_arn.unwrap_or_default();
    let target = repository_of(&arn)?;
    let keys = input.tag_keys.unwrap_or_default();
    let context = resource_context(service, &target).await?.with("aws:TagKeys", keys.clone());
    authorize(call, "ecr:UntagResource", &arn, &context)?;
    service
        .blocking(move |registry| {
            let changed = registry.change_repository_tags(&target.scope, &target.name, |tags| {
                tags.retain(|key, _| !keys.contains(key));
            });
            changed.map_err(|error| target.reject(error))
        })
        .await?;
    Ok(UntagResourceResponse {})
}
