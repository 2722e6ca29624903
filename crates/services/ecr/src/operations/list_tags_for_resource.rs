//! `ListTagsForResource`.

use outport_aws_ecr::{EcrError, ListTagsForResourceRequest, ListTagsForResourceResponse};
use outport_identity::Call;

use crate::access::{authorize, resource_context};
use crate::operations::tag_resource::repository_of;
use crate::{EcrService, resource_tags};

pub(crate) async fn list_tags_for_resource(
    service: &EcrService,
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, EcrError> {
    let arn = input.resource_arn.unwrap_or_default();
    let target = repository_of(&arn)?;
    let context = resource_context(service, &target).await?;
    authorize(call, "ecr:ListTagsForResource", &arn, &context)?;
    let repository = service
        .blocking(move |registry| {
            registry.repository(&target.scope, &target.name).map_err(|error| target.reject(error))
        })
        .await?;
    Ok(ListTagsForResourceResponse { tags: Some(resource_tags::view(&repository.tags)) })
}
