//! `ListTagsForResource`.

use outport_aws_ecr::{EcrError, ListTagsForResourceRequest, ListTagsForResourceResponse};
use outport_identity::{Call, Subject};

use crate::operations::tag_resource::repository_of;
use crate::{EcrService, resource_tags};

pub(crate) async fn list_tags_for_resource(
    service: &EcrService,
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, EcrError> {
    let arn = input.resource_arn.unwrap_or_default();
    let (scope, name) = repository_of(&arn)?;
    let action = "ecr:ListTagsForResource";
    let target = service.target(call, action, scope, name, Subject::from).await?;
    let repository = target
        .blocking(move |registry, target| {
            registry.repository(&target.scope, &target.name).map_err(|error| target.reject(error))
        })
        .await?;
    Ok(ListTagsForResourceResponse { tags: Some(resource_tags::view(&repository.tags)) })
}
