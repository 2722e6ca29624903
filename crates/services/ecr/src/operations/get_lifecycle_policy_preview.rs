//! `GetLifecyclePolicyPreview`.

use outport_aws_ecr::{
    EcrError, GetLifecyclePolicyPreviewRequest, GetLifecyclePolicyPreviewResponse, ImageActionType,
    ImageIdentifier, LifecyclePolicyPreviewResult, LifecyclePolicyPreviewStatus,
    LifecyclePolicyPreviewSummary, LifecyclePolicyRuleAction,
};
use outport_aws_wire::Timestamp;
use outport_identity::Call;
use outport_image_registry::{Digest, ExpiringImage, TagStatus};

use crate::EcrService;
use crate::access::target;
use crate::operations::list_images::tag_status;
use crate::page::Page;

/// Results come in the order of their digests; AWS's order is not known.
pub(crate) async fn get_lifecycle_policy_preview(
    service: &EcrService,
    call: &Call,
    input: GetLifecyclePolicyPreviewRequest,
) -> Result<GetLifecyclePolicyPreviewResponse, EcrError> {
    let page = Page::parse(input.max_results, input.next_token.as_deref())?;
    let after: Option<Digest> = page.position(|text| text.parse().ok())?;
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:GetLifecyclePolicyPreview", registry_id, name).await?;
    let found = target
        .blocking(|registry, target| {
            let found = registry.lifecycle_preview(&target.scope, &target.name);
            found.map_err(|error| target.reject(error))
        })
        .await?;
    // Source of the text: ECR, as users report it.
    let none = || {
        let text = "There is no dry run for this repository";
        EcrError::lifecycle_policy_preview_not_found_exception(text)
    };
    let preview = found.ok_or_else(none)?;
    let count = i32::try_from(preview.expiring.len()).unwrap_or(i32::MAX);
    let status = tag_status(input.filter.unwrap_or_default().tag_status);
    let mut shown: Vec<ExpiringImage> = preview.expiring;
    shown.retain(|image| {
        is_of(image, status)
            && input.image_ids.as_ref().is_none_or(|ids| ids.iter().any(|id| is_named(image, id)))
            && after.as_ref().is_none_or(|after| image.digest > *after)
    });
    shown.sort_by(|one, other| one.digest.cmp(&other.digest));
    let (shown, next_token) = page.cut(shown, |last| last.digest.to_string());
    Ok(GetLifecyclePolicyPreviewResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        lifecycle_policy_text: Some(preview.policy),
        status: Some(LifecyclePolicyPreviewStatus::Complete),
        next_token,
        preview_results: Some(shown.into_iter().map(result).collect()),
        summary: Some(LifecyclePolicyPreviewSummary {
            expiring_image_total_count: Some(count),
            ..Default::default()
        }),
    })
}

fn is_of(image: &ExpiringImage, status: TagStatus) -> bool {
    match status {
        TagStatus::Any => true,
        TagStatus::Tagged => !image.tags.is_empty(),
        TagStatus::Untagged => image.tags.is_empty(),
    }
}

/// By what of the id is given.
fn is_named(image: &ExpiringImage, id: &ImageIdentifier) -> bool {
    let digest = id.image_digest.as_ref().is_none_or(|text| image.digest.to_string() == *text);
    let tag = id.image_tag.as_ref();
    digest && tag.is_none_or(|text| image.tags.iter().any(|tag| tag.as_str() == text))
}

fn result(image: ExpiringImage) -> LifecyclePolicyPreviewResult {
    LifecyclePolicyPreviewResult {
        image_tags: Some(image.tags.iter().map(ToString::to_string).collect()),
        image_digest: Some(image.digest.to_string()),
        image_pushed_at: Some(Timestamp::from_millis(image.pushed_at_ms)),
        action: Some(LifecyclePolicyRuleAction {
            r#type: Some(ImageActionType::Expire),
            ..Default::default()
        }),
        applied_rule_priority: Some(image.rule_priority),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use outport_aws_ecr::{
        EcrHandler, GetLifecyclePolicyRequest, LifecyclePolicyPreviewFilter,
        PutLifecyclePolicyRequest, StartLifecyclePolicyPreviewRequest,
    };
    use outport_model::Now;

    use super::*;
    use crate::testing::{Fixture, NOW_MS, tagged};

    const KEEP_ONE: &str = r#"{"rules":[{"rulePriority":7,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}"#;

    /// `app` with the images `1`, `2` and an untagged one; names of the digests.
    async fn fixture() -> Fixture {
        let fixture = Fixture::new();
        fixture.create("app").await;
        for (tag, layer) in [("1", "one"), ("2", "two"), ("2", "three")] {
            fixture.push("app", tag, layer.as_bytes()).await;
        }
        fixture
    }

    fn app() -> Option<String> {
        Some("app".to_owned())
    }

    async fn preview(
        fixture: &Fixture,
        change: impl FnOnce(&mut GetLifecyclePolicyPreviewRequest),
    ) -> GetLifecyclePolicyPreviewResponse {
        let mut input =
            GetLifecyclePolicyPreviewRequest { repository_name: app(), ..Default::default() };
        change(&mut input);
        fixture.service.get_lifecycle_policy_preview(&fixture.call, input).await.expect("a preview")
    }

    #[tokio::test]
    async fn a_preview_shows_what_the_policy_then_does() {
        let fixture = fixture().await;
        let (service, call) = (&fixture.service, &fixture.call);
        let start = |text: Option<&str>| StartLifecyclePolicyPreviewRequest {
            repository_name: app(),
            lifecycle_policy_text: text.map(str::to_owned),
            ..Default::default()
        };
        let without = service.start_lifecycle_policy_preview(call, start(None)).await;
        assert!(matches!(without, Err(EcrError::LifecyclePolicyNotFoundException(_))));
        let started = service.start_lifecycle_policy_preview(call, start(Some(KEEP_ONE))).await;
        let status = started.expect("started").status;
        assert_eq!(status, Some(LifecyclePolicyPreviewStatus::InProgress));
        let all = preview(&fixture, |_| {}).await;
        let results = all.preview_results.expect("a list");
        assert_eq!(results.len(), 2);
        assert!(results.iter().all(|one| one.applied_rule_priority == Some(7)));
        assert_eq!(fixture.image_count("app"), 3, "a preview changes nothing");
        let page = preview(&fixture, |input| input.max_results = Some(1)).await;
        let rest = preview(&fixture, |input| input.next_token = page.next_token.clone()).await;
        let pages =
            [page.preview_results, rest.preview_results].map(|one| one.expect("a list").len());
        assert_eq!((pages, rest.next_token), ([1, 1], None));
        let untagged =
            LifecyclePolicyPreviewFilter { tag_status: Some(outport_aws_ecr::TagStatus::Untagged) };
        let filtered = preview(&fixture, |input| input.filter = Some(untagged)).await;
        let tagged_one = preview(&fixture, |input| input.image_ids = Some(vec![tagged("1")])).await;
        let counts = [filtered, tagged_one].map(|one| one.preview_results.expect("a list").len());
        assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");

        let put = PutLifecyclePolicyRequest {
            repository_name: app(),
            lifecycle_policy_text: Some(KEEP_ONE.to_owned()),
            ..Default::default()
        };
        service.put_lifecycle_policy(call, put).await.expect("put");
        let gone = service.registry().expire_images(&Now::steady_at(NOW_MS));
        assert_eq!((gone.expect("a pass"), fixture.image_count("app")), (2, 1));
        let get = GetLifecyclePolicyRequest { repository_name: app(), ..Default::default() };
        let kept = service.get_lifecycle_policy(call, get).await.expect("the policy");
        assert_eq!(kept.last_evaluated_at.map(|time| time.as_millis()), Some(NOW_MS));
    }

    /// An index keeps its images, and takes what is about it with it.
    #[tokio::test]
    async fn an_image_of_a_list_stays_and_a_signature_goes() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let image = fixture.push("app", "1", b"one").await;
        let index = fixture.push_index("app", "1", &image);
        fixture.push_about("app", &index, "application/signature");
        let registry = fixture.service.registry();
        let scope =
            outport_model::Scope::new(fixture.call.account.clone(), fixture.call.region.clone());
        let name = "app".parse().expect("a name");
        let pass = |after_ms: i64| {
            let gone = registry.expire_images(&Now::steady_at(NOW_MS + after_ms)).expect("a pass");
            (gone, fixture.image_count("app"))
        };
        registry.put_lifecycle_policy(&scope, &name, Some(KEEP_ONE)).expect("put");
        assert_eq!(pass(0), (0, 3), "one counts");
        fixture.push("app", "2", b"two").await;
        fixture.push("app", "3", b"three").await;
        assert_eq!(pass(60_000), (0, 5), "not again so soon");
        let all = KEEP_ONE.replace(
            r#""imageCountMoreThan","countNumber":1"#,
            r#""sinceImagePushed","countUnit":"days","countNumber":1"#,
        );
        registry.put_lifecycle_policy(&scope, &name, Some(&all)).expect("put");
        assert_eq!(pass(24 * 3600 * 1000), (0, 5), "a day is not more than a day");
        assert_eq!(pass(26 * 3600 * 1000), (4, 1), "the list, its signature, two images");
        assert_eq!(pass(28 * 3600 * 1000), (1, 0), "the image that the list had");
    }
}
