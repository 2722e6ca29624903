//! `DeleteRepository`.

use outport_aws_ecr::{DeleteRepositoryRequest, DeleteRepositoryResponse, EcrError};
use outport_identity::Call;

use crate::access::target;
use crate::{EcrService, views};

pub(crate) async fn delete_repository(
    service: &EcrService,
    call: &Call,
    input: DeleteRepositoryRequest,
) -> Result<DeleteRepositoryResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:DeleteRepository", registry_id, name).await?;
    let force = input.force.unwrap_or_default();
    let deleted = target
        .blocking(move |registry, target| {
            let deleted = registry.delete_repository(&target.scope, &target.name, force);
            deleted.map_err(|error| target.reject(error))
        })
        .await?;
    let repository = Some(views::repository(&target.scope, service.address.host(call), &deleted));
    Ok(DeleteRepositoryResponse { repository })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[tokio::test]
    async fn a_repository_with_images_needs_force() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        fixture.push("app", "1", b"layer").await;
        let mut input =
            DeleteRepositoryRequest { repository_name: Some("app".into()), ..Default::default() };
        let refused = delete_repository(&fixture.service, &fixture.call, input.clone()).await;
        let expected = "The repository with name 'app' in registry with id '000000000000' cannot be deleted because it still contains images";
        assert_eq!(refused, Err(EcrError::repository_not_empty_exception(expected)));
        input.force = Some(true);
        let deleted = delete_repository(&fixture.service, &fixture.call, input.clone()).await;
        let name = deleted.expect("deleted").repository.and_then(|one| one.repository_name);
        assert_eq!(name.as_deref(), Some("app"));
        let gone = delete_repository(&fixture.service, &fixture.call, input).await;
        assert!(matches!(gone, Err(EcrError::RepositoryNotFoundException(_))));
    }
}
