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
    batch_get_repository_scanning_configuration: BatchGetRepositoryScanningConfigurationRequest -> BatchGetRepositoryScanningConfigurationResponse,
    complete_layer_upload: CompleteLayerUploadRequest -> CompleteLayerUploadResponse,
    create_pull_through_cache_rule: CreatePullThroughCacheRuleRequest -> CreatePullThroughCacheRuleResponse,
    create_repository: CreateRepositoryRequest -> CreateRepositoryResponse,
    create_repository_creation_template: CreateRepositoryCreationTemplateRequest -> CreateRepositoryCreationTemplateResponse,
    delete_lifecycle_policy: DeleteLifecyclePolicyRequest -> DeleteLifecyclePolicyResponse,
    delete_pull_through_cache_rule: DeletePullThroughCacheRuleRequest -> DeletePullThroughCacheRuleResponse,
    delete_registry_policy: DeleteRegistryPolicyRequest -> DeleteRegistryPolicyResponse,
    delete_repository: DeleteRepositoryRequest -> DeleteRepositoryResponse,
    delete_repository_creation_template: DeleteRepositoryCreationTemplateRequest -> DeleteRepositoryCreationTemplateResponse,
    delete_repository_policy: DeleteRepositoryPolicyRequest -> DeleteRepositoryPolicyResponse,
    describe_image_scan_findings: DescribeImageScanFindingsRequest -> DescribeImageScanFindingsResponse,
    describe_images: DescribeImagesRequest -> DescribeImagesResponse,
    describe_pull_through_cache_rules: DescribePullThroughCacheRulesRequest -> DescribePullThroughCacheRulesResponse,
    describe_registry: DescribeRegistryRequest -> DescribeRegistryResponse,
    describe_repositories: DescribeRepositoriesRequest -> DescribeRepositoriesResponse,
    describe_repository_creation_templates: DescribeRepositoryCreationTemplatesRequest -> DescribeRepositoryCreationTemplatesResponse,
    get_account_setting: GetAccountSettingRequest -> GetAccountSettingResponse,
    get_authorization_token: GetAuthorizationTokenRequest -> GetAuthorizationTokenResponse,
    get_download_url_for_layer: GetDownloadUrlForLayerRequest -> GetDownloadUrlForLayerResponse,
    get_lifecycle_policy: GetLifecyclePolicyRequest -> GetLifecyclePolicyResponse,
    get_lifecycle_policy_preview: GetLifecyclePolicyPreviewRequest -> GetLifecyclePolicyPreviewResponse,
    get_registry_policy: GetRegistryPolicyRequest -> GetRegistryPolicyResponse,
    get_registry_scanning_configuration: GetRegistryScanningConfigurationRequest -> GetRegistryScanningConfigurationResponse,
    get_repository_policy: GetRepositoryPolicyRequest -> GetRepositoryPolicyResponse,
    initiate_layer_upload: InitiateLayerUploadRequest -> InitiateLayerUploadResponse,
    list_image_referrers: ListImageReferrersRequest -> ListImageReferrersResponse,
    list_images: ListImagesRequest -> ListImagesResponse,
    list_tags_for_resource: ListTagsForResourceRequest -> ListTagsForResourceResponse,
    put_account_setting: PutAccountSettingRequest -> PutAccountSettingResponse,
    put_image: PutImageRequest -> PutImageResponse,
    put_image_scanning_configuration: PutImageScanningConfigurationRequest -> PutImageScanningConfigurationResponse,
    put_image_tag_mutability: PutImageTagMutabilityRequest -> PutImageTagMutabilityResponse,
    put_lifecycle_policy: PutLifecyclePolicyRequest -> PutLifecyclePolicyResponse,
    put_registry_policy: PutRegistryPolicyRequest -> PutRegistryPolicyResponse,
    put_registry_scanning_configuration: PutRegistryScanningConfigurationRequest -> PutRegistryScanningConfigurationResponse,
    put_replication_configuration: PutReplicationConfigurationRequest -> PutReplicationConfigurationResponse,
    set_repository_policy: SetRepositoryPolicyRequest -> SetRepositoryPolicyResponse,
    start_lifecycle_policy_preview: StartLifecyclePolicyPreviewRequest -> StartLifecyclePolicyPreviewResponse,
    tag_resource: TagResourceRequest -> TagResourceResponse,
    untag_resource: UntagResourceRequest -> UntagResourceResponse,
    update_pull_through_cache_rule: UpdatePullThroughCacheRuleRequest -> UpdatePullThroughCacheRuleResponse,
    update_repository_creation_template: UpdateRepositoryCreationTemplateRequest -> UpdateRepositoryCreationTemplateResponse,
    upload_layer_part: UploadLayerPartRequest -> UploadLayerPartResponse,
    validate_pull_through_cache_rule: ValidatePullThroughCacheRuleRequest -> ValidatePullThroughCacheRuleResponse,
}
