//! `UntagResource`.

use outport_aws_ecr::{EcrError, UntagResourceRequest, UntagResourceResponse};
use outport_identity::{Call, Question, Subject};

use crate::EcrService;
use crate::operations::tag_resource::repository_of;

pub(crate) async fn untag_resource(
    service: &EcrService,
    call: &Call,
    input: UntagResourceRequest,
) -> Result<UntagResourceResponse, EcrError> {
    let arn = input.resource_arn.unwrap_or_default();
    let (scope, name) = repository_of(&arn)?;
    let keys = input.tag_keys.unwrap_or_default();
    let ask = |question: Question| Subject::from(question.with("aws:TagKeys", keys.clone()));
    let target = service.target(call, "ecr:UntagResource", scope, name, ask).await?;
    target
        .blocking(move |registry, target| {
            let changed = registry.change_repository_tags(&target.scope, &target.name, |tags| {
                tags.retain(|key, _| !keys.contains(key));
            });
            changed.map_err(|error| target.reject(error))
        })
        .await?;
    Ok(UntagResourceResponse {})
}
