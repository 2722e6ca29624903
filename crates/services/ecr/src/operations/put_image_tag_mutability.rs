//! `PutImageTagMutability`.

use outport_aws_ecr::{
    EcrError, ImageTagMutability, ImageTagMutabilityExclusionFilter, PutImageTagMutabilityRequest,
    PutImageTagMutabilityResponse,
};
use outport_identity::Call;
use outport_image_registry::TagMutability;

use crate::access::target;
use crate::rejection::invalid_parameter;
use crate::{EcrService, views};

/// The most `*` in one filter. Source: ECR, `ImageTagMutabilityExclusionFilter`.
const WILDCARDS_MAX: usize = 2;

pub(crate) async fn put_image_tag_mutability(
    service: &EcrService,
    call: &Call,
    input: PutImageTagMutabilityRequest,
) -> Result<PutImageTagMutabilityResponse, EcrError> {
    let filters = input.image_tag_mutability_exclusion_filters.unwrap_or_default();
    let setting = tag_mutability(input.image_tag_mutability, filters)?;
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:PutImageTagMutability", registry_id, name).await?;
    let response = PutImageTagMutabilityResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        image_tag_mutability: views::tag_mutability(&setting),
        image_tag_mutability_exclusion_filters: views::exclusion_filters(&setting),
    };
    target
        .blocking(move |registry, target| {
            let put = registry.put_tag_mutability(&target.scope, &target.name, &setting);
            put.map_err(|error| target.reject(error))
        })
        .await?;
    Ok(response)
}

/// Filters belong to the two settings with exclusions, and these need some. Default: mutable.
///
/// Source of the texts: what public test suites and linters quote of ECR.
pub(crate) fn tag_mutability(
    setting: Option<ImageTagMutability>,
    filters: Vec<ImageTagMutabilityExclusionFilter>,
) -> Result<TagMutability, EcrError> {
    let filters: Vec<String> = filters.into_iter().filter_map(|filter| filter.filter).collect();
    let invalid =
        |constraint: &str| invalid_parameter("imageTagMutabilityExclusionFilters", constraint);
    if filters.iter().any(|filter| filter.matches('*').count() > WILDCARDS_MAX) {
        return Err(invalid("a filter must have at most 2 wildcards"));
    }
    let setting = setting.unwrap_or(ImageTagMutability::Mutable);
    let refused = |what: &str| {
        invalid(&format!(
            "ImageTagMutabilityExclusionFilters {what} when imageTagMutability is set as {setting}"
        ))
    };
    match setting {
        ImageTagMutability::Mutable if filters.is_empty() => Ok(TagMutability::Mutable),
        ImageTagMutability::Immutable if filters.is_empty() => Ok(TagMutability::Immutable),
        ImageTagMutability::Mutable | ImageTagMutability::Immutable => {
            Err(refused("are not allowed"))
        }
        _ if filters.is_empty() => Err(refused("can't be null")),
        ImageTagMutability::MutableWithExclusion => Ok(TagMutability::MutableExcept(filters)),
        ImageTagMutability::ImmutableWithExclusion => Ok(TagMutability::ImmutableExcept(filters)),
    }
}

#[cfg(test)]
mod tests {
    use outport_aws_ecr::ImageTagMutabilityExclusionFilterType;

    use super::*;
    use crate::testing::Fixture;

    fn filter(text: &str) -> ImageTagMutabilityExclusionFilter {
        ImageTagMutabilityExclusionFilter {
            filter_type: Some(ImageTagMutabilityExclusionFilterType::Wildcard),
            filter: Some(text.into()),
        }
    }

    fn check(setting: ImageTagMutability, filters: &[&str], accepted: bool) {
        let filters = filters.iter().map(|text| filter(text)).collect();
        assert_eq!(tag_mutability(Some(setting), filters).is_ok(), accepted, "{setting}");
    }

    #[test]
    fn filters_belong_to_settings_with_exclusions() {
        check(ImageTagMutability::Mutable, &[], true);
        check(ImageTagMutability::Immutable, &["a"], false);
        check(ImageTagMutability::ImmutableWithExclusion, &[], false);
        check(ImageTagMutability::MutableWithExclusion, &["v*", "*-x*"], true);
        check(ImageTagMutability::MutableWithExclusion, &["*a*b*"], false);
    }

    #[tokio::test]
    async fn the_setting_is_kept_and_shown() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let input = PutImageTagMutabilityRequest {
            repository_name: Some("app".into()),
            image_tag_mutability: Some(ImageTagMutability::ImmutableWithExclusion),
            image_tag_mutability_exclusion_filters: Some(vec![filter("dev-*")]),
            ..Default::default()
        };
        let answer = put_image_tag_mutability(&fixture.service, &fixture.call, input).await;
        let answer = answer.expect("the setting");
        assert_eq!(answer.image_tag_mutability, Some(ImageTagMutability::ImmutableWithExclusion));
        let kept = fixture.repository("app").tag_mutability;
        assert_eq!(kept, TagMutability::ImmutableExcept(vec!["dev-*".into()]));
    }
}
