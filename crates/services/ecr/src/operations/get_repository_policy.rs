//! `GetRepositoryPolicy`: no repository has one, since SetRepositoryPolicy is refused.

use outport_aws_ecr::{EcrError, GetRepositoryPolicyRequest, GetRepositoryPolicyResponse};
use outport_identity::Call;

use crate::EcrService;
use crate::access::{existing_repository, target};

pub(crate) async fn get_repository_policy(
    service: &EcrService,
    call: &Call,
    input: GetRepositoryPolicyRequest,
) -> Result<GetRepositoryPolicyResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:GetRepositoryPolicy", registry_id, name).await?;
    existing_repository(&target).await?;
    // Source of the text: ECR.
    let text = format!("Repository policy does not exist for the {}", target.place());
    Err(EcrError::repository_policy_not_found_exception(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[tokio::test]
    async fn there_is_none() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let answer = async |name: &str| {
            let repository_name = Some(name.to_owned());
            let input = GetRepositoryPolicyRequest { repository_name, ..Default::default() };
            get_repository_policy(&fixture.service, &fixture.call, input).await
        };
        let expected = "Repository policy does not exist for the repository with name 'app' in the registry with id '000000000000'";
        let expected = EcrError::repository_policy_not_found_exception(expected);
        assert_eq!(answer("app").await, Err(expected));
        let refused = answer("none").await.expect_err("no such repository").to_string();
        assert!(refused.starts_with("RepositoryNotFoundException"), "{refused}");
    }
}
