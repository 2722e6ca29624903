//! `TagResource`.

use outport_aws_ecr::{EcrError, TagResourceRequest, TagResourceResponse};
use outport_identity::{Call, Question, Subject};
use outport_image_registry::RepositoryName;
use outport_model::{AccountId, Region, Scope};

use crate::rejection::invalid_parameter;
use crate::{EcrService, resource_tags};

pub(crate) async fn tag_resource(
    service: &EcrService,
    call: &Call,
    input: TagResourceRequest,
) -> Result<TagResourceResponse, EcrError> {
    let arn = input.resource_arn.unwrap_or_default();
    let (scope, name) = repository_of(&arn)?;
    let added = resource_tags::parse(&input.tags.unwrap_or_default())?;
    let ask = |question: Question| Subject::from(question.with_request_tags(&added));
    let target = service.target(call, "ecr:TagResource", scope, name, ask).await?;
    target
        .blocking(move |registry, target| {
            let mut refused = Ok(());
            registry
                .change_repository_tags(&target.scope, &target.name, |tags| {
                    let mut changed = tags.clone();
                    changed.extend(added);
                    refused = resource_tags::check_count(&changed);
                    if refused.is_ok() {
                        *tags = changed;
                    }
                })
                .map_err(|error| target.reject(error))?;
            refused
        })
        .await?;
    Ok(TagResourceResponse {})
}

/// Reads `arn:aws:ecr:<region>:<account>:repository/<name>`.
pub(crate) fn repository_of(arn: &str) -> Result<(Scope, RepositoryName), EcrError> {
    let parse = || {
        let rest = arn.strip_prefix("arn:aws:ecr:")?;
        let (region, rest) = rest.split_once(':')?;
        let (account, rest) = rest.split_once(':')?;
        let name = rest.strip_prefix("repository/")?.parse().ok()?;
        Some((Scope::new(AccountId::new(account), Region::new(region)), name))
    };
    parse().ok_or_else(|| invalid_parameter("resourceArn", "Invalid ARN"))
}

#[cfg(test)]
mod tests {
    use outport_aws_ecr::{EcrHandler, ListTagsForResourceRequest, Tag, UntagResourceRequest};

    use super::*;
    use crate::testing::Fixture;

    const ARN: &str = "arn:aws:ecr:us-east-1:000000000000:repository/app";

    fn tags(keys: impl IntoIterator<Item = String>) -> Option<Vec<Tag>> {
        Some(keys.into_iter().map(|key| Tag { key: Some(key), value: Some("v".into()) }).collect())
    }

    async fn keys(fixture: &Fixture) -> Vec<String> {
        let input = ListTagsForResourceRequest { resource_arn: Some(ARN.into()) };
        let answer = fixture.service.list_tags_for_resource(&fixture.call, input).await;
        let tags = answer.expect("tags").tags.expect("a list");
        tags.into_iter().filter_map(|tag| tag.key).collect()
    }

    #[tokio::test]
    async fn tags_are_added_listed_and_removed() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let (service, call) = (&fixture.service, &fixture.call);
        let add = |tags| TagResourceRequest { resource_arn: Some(ARN.into()), tags };
        let two = add(tags(["a", "b"].map(String::from)));
        service.tag_resource(call, two).await.expect("tagged");
        assert_eq!(keys(&fixture).await, ["a", "b"]);
        let many = add(tags((0..49).map(|number| format!("k{number}"))));
        let refused = service.tag_resource(call, many).await;
        assert!(matches!(refused, Err(EcrError::TooManyTagsException(_))));
        let keys_gone = Some(vec!["a".into(), "not there".into()]);
        let input = UntagResourceRequest { resource_arn: Some(ARN.into()), tag_keys: keys_gone };
        service.untag_resource(call, input).await.expect("untagged");
        assert_eq!(keys(&fixture).await, ["b"]);
        for (arn, expected) in [
            ("arn:aws:ecr:us-east-1:000000000000:repository/missing", "does not exist"),
            ("arn:aws:ecs:us-east-1:000000000000:cluster/app", "Invalid ARN"),
            ("arn:aws:ecr:us-east-1:111111111111:repository/app", "not authorized"),
        ] {
            let input =
                TagResourceRequest { resource_arn: Some(arn.into()), tags: tags(["a".to_owned()]) };
            let refused = service.tag_resource(call, input).await.expect_err(arn).to_string();
            assert!(refused.contains(expected), "{arn}: {refused}");
        }
    }
}
