//! The generated trait, each method handed to its file.

use outport_aws_ecr::*;
use outport_identity::Call;

use crate::{EcrService, operations};

macro_rules! handler {
    ($($method:ident: $input:ident -> $output:ident,)*) => {
        impl EcrHandler<Call> for EcrService {
            $(
                async fn $method(&self, call: &Call, input: $input) -> Result<$output, EcrError> {
                    operations::$method::$method(self, call, input).await
                }
            )*
        }
    };
}

handler! {
    batch_check_layer_availability: BatchCheckLayerAvailabilityRequest -> BatchCheckLayerAvailabilityResponse,
    batch_delete_image: BatchDeleteImageRequest -> BatchDeleteImageResponse,
    batch_get_image: BatchGetImageRequest -> BatchGetImageResponse,
    complete_layer_upload: CompleteLayerUploadRequest -> CompleteLayerUploadResponse,
    create_repository: CreateRepositoryRequest -> CreateRepositoryResponse,
    delete_repository: DeleteRepositoryRequest -> DeleteRepositoryResponse,
    describe_image_scan_findings: DescribeImageScanFindingsRequest -> DescribeImageScanFindingsResponse,
    describe_images: DescribeImagesRequest -> DescribeImagesResponse,
    describe_repositories: DescribeRepositoriesRequest -> DescribeRepositoriesResponse,
    get_authorization_token: GetAuthorizationTokenRequest -> GetAuthorizationTokenResponse,
    get_download_url_for_layer: GetDownloadUrlForLayerRequest -> GetDownloadUrlForLayerResponse,
    get_lifecycle_policy: GetLifecyclePolicyRequest -> GetLifecyclePolicyResponse,
    get_repository_policy: GetRepositoryPolicyRequest -> GetRepositoryPolicyResponse,
    initiate_layer_upload: InitiateLayerUploadRequest -> InitiateLayerUploadResponse,
    list_images: ListImagesRequest -> ListImagesResponse,
    list_tags_for_resource: ListTagsForResourceRequest -> ListTagsForResourceResponse,
    put_image: PutImageRequest -> PutImageResponse,
    put_image_tag_mutability: PutImageTagMutabilityRequest -> PutImageTagMutabilityResponse,
    tag_resource: TagResourceRequest -> TagResourceResponse,
    untag_resource: UntagResourceRequest -> UntagResourceResponse,
    upload_layer_part: UploadLayerPartRequest -> UploadLayerPartResponse,
}
