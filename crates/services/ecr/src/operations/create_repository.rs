//! `CreateRepository`.

use outport_aws_ecr::{
    CreateRepositoryRequest, CreateRepositoryResponse, EcrError, EncryptionConfiguration,
    EncryptionType,
};
use outport_identity::{Call, Question, Subject};
use outport_image_registry::{NewRepository, repository_arn};

use crate::access::{repository_name, scope};
use crate::operations::put_image_tag_mutability::tag_mutability;
use crate::rejection::invalid_parameter;
use crate::{EcrService, resource_tags, views};

pub(crate) async fn create_repository(
    service: &EcrService,
    call: &Call,
    input: CreateRepositoryRequest,
) -> Result<CreateRepositoryResponse, EcrError> {
    let name = repository_name(input.repository_name.as_deref())?;
    let tags = resource_tags::parse(&input.tags.unwrap_or_default())?;
    let tag_mutability = tag_mutability(
        input.image_tag_mutability,
        input.image_tag_mutability_exclusion_filters.unwrap_or_default(),
    )?;
    check_encryption(input.encryption_configuration.as_ref())?;
    let scope = scope(call, input.registry_id.as_deref());
    let arn = repository_arn(&scope, &name);
    let ask = |question: Question| {
        let tag = Question::new("ecr:TagResource", arn).with_request_tags(&tags);
        let create = Subject::from(question.with_request_tags(&tags));
        create.and_all((!tags.is_empty()).then_some(tag))
    };
    let action = "ecr:CreateRepository";
    let target = service.target(call, action, scope, name.clone(), ask).await?;
    let scanning = input.image_scanning_configuration.unwrap_or_default();
    let scan_on_push = scanning.scan_on_push.unwrap_or_default();
    let new = NewRepository { name, tag_mutability, scan_on_push, tags };
    let now_ms = call.now_ms;
    let created = target
        .blocking(move |registry, target| {
            registry
                .create_repository(&target.scope, &new, now_ms)
                .map_err(|error| target.reject(error))
        })
        .await?;
    let repository = Some(views::repository(&target.scope, service.address.host(call), &created));
    Ok(CreateRepositoryResponse { repository })
}

/// Layers lie on the server's disk as they came; encrypting that disk is the host's. A key of KMS would
/// promise what nobody keeps, so it is refused.
fn check_encryption(configuration: Option<&EncryptionConfiguration>) -> Result<(), EcrError> {
    let Some(configuration) = configuration else { return Ok(()) };
    let constraint = match (configuration.encryption_type, &configuration.kms_key) {
        (None | Some(EncryptionType::Aes256), None) => return Ok(()),
        (None | Some(EncryptionType::Aes256), Some(_)) => "kmsKey needs the encryption type KMS",
        (Some(_), _) => "the encryption type must be AES256: this registry has no KMS",
    };
    Err(invalid_parameter("encryptionConfiguration", constraint))
}

#[cfg(test)]
mod tests {
    use outport_aws_ecr::{ImageTagMutability, Tag};

    use super::*;
    use crate::testing::Fixture;

    #[tokio::test]
    async fn a_repository_is_created_with_awss_defaults() {
        let fixture = Fixture::new();
        let input = CreateRepositoryRequest {
            repository_name: Some("team/app".into()),
            ..CreateRepositoryRequest::default()
        };
        let created = create_repository(&fixture.service, &fixture.call, input.clone()).await;
        let repository = created.expect("created").repository.expect("a repository");
        let text = outport_aws_wire::to_json(&repository);
        assert_eq!(
            text,
            r#"{"repositoryArn":"arn:aws:ecr:us-east-1:000000000000:repository/team/app","registryId":"000000000000","repositoryName":"team/app","repositoryUri":"127.0.0.1:4566/team/app","createdAt":1700000000,"imageTagMutability":"MUTABLE","imageScanningConfiguration":{"scanOnPush":false},"encryptionConfiguration":{"encryptionType":"AES256"}}"#
        );
        let again = create_repository(&fixture.service, &fixture.call, input).await;
        let expected = "The repository with name 'team/app' already exists in the registry with id '000000000000'";
        assert_eq!(again, Err(EcrError::repository_already_exists_exception(expected)));
    }

    async fn check(change: impl FnOnce(&mut CreateRepositoryRequest), expected: &str) {
        let fixture = Fixture::new();
        let mut input = CreateRepositoryRequest {
            repository_name: Some("app".into()),
            ..CreateRepositoryRequest::default()
        };
        change(&mut input);
        let refused = create_repository(&fixture.service, &fixture.call, input).await;
        let text = refused.expect_err(expected).to_string();
        assert!(text.contains(expected), "{text}");
    }

    fn tag(key: &str) -> Tag {
        Tag { key: Some(key.into()), value: Some("v".into()) }
    }

    #[tokio::test]
    async fn what_it_cannot_keep_it_refuses() {
        let kms =
            EncryptionConfiguration { encryption_type: Some(EncryptionType::Kms), kms_key: None };
        check(|input| input.encryption_configuration = Some(kms), "this registry has no KMS").await;
        check(|input| input.tags = Some(vec![tag("aws:x")]), "aws: prefixed").await;
        check(|input| input.tags = Some(vec![tag("a"), tag("a")]), "Duplicate").await;
        let many = (0..51).map(|number| tag(&number.to_string())).collect();
        check(|input| input.tags = Some(many), "at most 50 tags").await;
        check(|input| input.repository_name = Some("App".into()), "repositoryName").await;
        let exclusion = Some(ImageTagMutability::ImmutableWithExclusion);
        check(|input| input.image_tag_mutability = exclusion, "imageTagMutabilityExclusionFilters")
            .await;
        check(|input| input.registry_id = Some("111111111111".into()), "not authorized").await;
    }
}
