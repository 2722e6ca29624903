//! `ListImageReferrers`: what `/v2/<name>/referrers/<digest>` lists at the registry's own door.

use std::collections::BTreeMap;

use outport_aws_ecr::{
    ArtifactStatus, ArtifactStatusFilter, EcrError, ImageReferrer, ListImageReferrersRequest,
    ListImageReferrersResponse,
};
use outport_identity::Call;
use outport_image_registry::{Digest, ImageDetail};

use crate::EcrService;
use crate::access::target;
use crate::page::Page;
use crate::rejection::invalid_parameter;

/// Images that are looked at in one go.
const IMAGES_PER_LOOK: usize = 500;

/// A subject that is not there has no referrers, as at the registry's own door.
pub(crate) async fn list_image_referrers(
    service: &EcrService,
    call: &Call,
    input: ListImageReferrersRequest,
) -> Result<ListImageReferrersResponse, EcrError> {
    let subject = input.subject_id.unwrap_or_default().image_digest.unwrap_or_default();
    let subject: Digest = subject.parse().map_err(|_| {
        invalid_parameter("subjectId.imageDigest", "must be the digest of an image")
    })?;
    let page = Page::parse(input.max_results, input.next_token.as_deref())?;
    let mut after: Option<Digest> = page.position(|text| text.parse().ok())?;
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:ListImageReferrers", registry_id, name).await?;
    let filter = input.filter.unwrap_or_default();
    let types = filter.artifact_types.unwrap_or_default();
    // Every image is active: nothing is archived here.
    let is_shown = matches!(
        filter.artifact_status,
        None | Some(ArtifactStatusFilter::Any | ArtifactStatusFilter::Active)
    );
    let wanted = if is_shown { page.items_max + 1 } else { 0 };
    let is_wanted = move |image: &ImageDetail| {
        types.is_empty() || image.artifact_type.as_ref().is_some_and(|one| types.contains(one))
    };
    let found = target
        .blocking(move |registry, target| {
            let mut found = Vec::new();
            loop {
                let (scope, name) = (&target.scope, &target.name);
                let seen = registry
                    .referrers(scope, name, &subject, None, after.as_ref(), IMAGES_PER_LOOK)
                    .map_err(|error| target.reject(error))?;
                let is_last = seen.len() < IMAGES_PER_LOOK;
                after = seen.last().map(|image| image.digest.clone());
                found.extend(seen.into_iter().filter(&is_wanted));
                if is_last || found.len() >= wanted {
                    found.truncate(wanted);
                    return Ok(found);
                }
            }
        })
        .await?;
    let (found, next_token) = page.cut(found, |last| last.digest.to_string());
    let referrers = Some(found.iter().map(referrer).collect());
    Ok(ListImageReferrersResponse { referrers, next_token })
}

fn referrer(image: &ImageDetail) -> ImageReferrer {
    let annotations = image.annotations.as_ref().and_then(|value| value.as_object());
    let annotations = annotations.map(|annotations| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        annotations
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect::<BTreeMap<_, _>>()
    });
    ImageReferrer {
        digest: Some(image.digest.to_string()),
        media_type: Some(image.media_type.as_str().to_owned()),
        artifact_type: image.artifact_type.clone(),
        size: i64::try_from(image.manifest_bytes).ok(),
        annotations,
        artifact_status: Some(ArtifactStatus::Active),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Fixture;

    #[tokio::test]
    async fn what_is_about_an_image_is_listed_page_by_page() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let image = fixture.push("app", "1", b"layer").await;
        let mut about = [
            fixture.push_about("app", &image, "application/sbom"),
            fixture.push_about("app", &image, "application/signature"),
        ];
        let ask = async |more: serde_json::Value| {
            let mut input = json!({"repositoryName": "app", "subjectId": {"imageDigest": image}});
            for (name, value) in more.as_object().expect("members") {
                input[name] = value.clone();
            }
            let (status, answer) = fixture.reply("ListImageReferrers", &input).await;
            assert_eq!(status, 200, "{answer}");
            answer
        };
        let signatures = ask(json!({"filter": {"artifactTypes": ["application/signature"]}})).await;
        let found = &signatures["referrers"];
        assert_eq!(found.as_array().map(Vec::len), Some(1));
        assert_eq!(found[0]["digest"], about[1]);
        assert_eq!(found[0]["artifactType"], "application/signature");
        assert_eq!(found[0]["annotations"], json!({"by": "a test"}));
        about.sort();
        let first = ask(json!({"maxResults": 1})).await;
        let second = ask(json!({"maxResults": 1, "nextToken": first["nextToken"]})).await;
        let digests = [&first, &second].map(|page| page["referrers"][0]["digest"].clone());
        assert_eq!(digests, about.map(serde_json::Value::from));
        assert_eq!(second.get("nextToken"), None);
        let archived = ask(json!({"filter": {"artifactStatus": "ARCHIVED"}})).await;
        assert_eq!(archived["referrers"], json!([]));
    }
}
