//! `DescribeImageScanFindings`: no image was scanned, since nothing here scans.

use outport_aws_ecr::{
    DescribeImageScanFindingsRequest, DescribeImageScanFindingsResponse, EcrError,
};
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;
use crate::image_id::shown;
use crate::operations::describe_images;

pub(crate) async fn describe_image_scan_findings(
    service: &EcrService,
    call: &Call,
    input: DescribeImageScanFindingsRequest,
) -> Result<DescribeImageScanFindingsResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:DescribeImageScanFindings", registry_id, name).await?;
    let id = input.image_id.unwrap_or_default();
    describe_images::by_id(&target, vec![id.clone()]).await?;
    // Source of the text: ECR.
    let text = format!(
        "Image scan does not exist for the image with '{}' in the {}",
        shown(&id),
        target.place()
    );
    Err(EcrError::scan_not_found_exception(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, tagged};

    #[tokio::test]
    async fn there_is_none() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        fixture.push("app", "1", b"layer").await;
        let answer = async |tag: &str| {
            let input = DescribeImageScanFindingsRequest {
                repository_name: Some("app".into()),
                image_id: Some(tagged(tag)),
                ..Default::default()
            };
            describe_image_scan_findings(&fixture.service, &fixture.call, input).await
        };
        let expected = "Image scan does not exist for the image with '{imageDigest:'null', imageTag:'1'}' in the repository with name 'app' in the registry with id '000000000000'";
        assert_eq!(answer("1").await, Err(EcrError::scan_not_found_exception(expected)));
        let refused = answer("2").await.expect_err("no such image").to_string();
        assert!(refused.starts_with("ImageNotFoundException"), "{refused}");
    }
}
