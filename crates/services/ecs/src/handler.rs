//! The generated handler trait, operation by operation.

use outport_aws_ecs::*;
use outport_identity::Call;

use crate::{EcsService, operations};

macro_rules! handler {
    ($($operation:ident: $input:ident => $output:ident,)+) => {
        impl EcsHandler<Call> for EcsService {
            $(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, EcsError> {
                let answer = operations::$operation::$operation(self, call, input).await;
                answer.map_err(EcsError::from)
            })+
        }
    };
}

handler! {
    continue_service_deployment: ContinueServiceDeploymentRequest => ContinueServiceDeploymentResponse,
    create_cluster: CreateClusterRequest => CreateClusterResponse,
    create_service: CreateServiceRequest => CreateServiceResponse,
    delete_account_setting: DeleteAccountSettingRequest => DeleteAccountSettingResponse,
    delete_attributes: DeleteAttributesRequest => DeleteAttributesResponse,
    delete_cluster: DeleteClusterRequest => DeleteClusterResponse,
    delete_service: DeleteServiceRequest => DeleteServiceResponse,
    delete_task_definitions: DeleteTaskDefinitionsRequest => DeleteTaskDefinitionsResponse,
    deregister_container_instance: DeregisterContainerInstanceRequest => DeregisterContainerInstanceResponse,
    deregister_task_definition: DeregisterTaskDefinitionRequest => DeregisterTaskDefinitionResponse,
    describe_capacity_providers: DescribeCapacityProvidersRequest => DescribeCapacityProvidersResponse,
    describe_clusters: DescribeClustersRequest => DescribeClustersResponse,
    describe_container_instances: DescribeContainerInstancesRequest => DescribeContainerInstancesResponse,
    describe_service_deployments: DescribeServiceDeploymentsRequest => DescribeServiceDeploymentsResponse,
    describe_service_revisions: DescribeServiceRevisionsRequest => DescribeServiceRevisionsResponse,
    describe_services: DescribeServicesRequest => DescribeServicesResponse,
    describe_task_definition: DescribeTaskDefinitionRequest => DescribeTaskDefinitionResponse,
    describe_tasks: DescribeTasksRequest => DescribeTasksResponse,
    get_task_protection: GetTaskProtectionRequest => GetTaskProtectionResponse,
    list_account_settings: ListAccountSettingsRequest => ListAccountSettingsResponse,
    list_attributes: ListAttributesRequest => ListAttributesResponse,
    list_clusters: ListClustersRequest => ListClustersResponse,
    list_container_instances: ListContainerInstancesRequest => ListContainerInstancesResponse,
    list_service_deployments: ListServiceDeploymentsRequest => ListServiceDeploymentsResponse,
    list_services: ListServicesRequest => ListServicesResponse,
    list_tags_for_resource: ListTagsForResourceRequest => ListTagsForResourceResponse,
    list_task_definition_families: ListTaskDefinitionFamiliesRequest => ListTaskDefinitionFamiliesResponse,
    list_task_definitions: ListTaskDefinitionsRequest => ListTaskDefinitionsResponse,
    list_tasks: ListTasksRequest => ListTasksResponse,
    put_account_setting: PutAccountSettingRequest => PutAccountSettingResponse,
    put_account_setting_default: PutAccountSettingDefaultRequest => PutAccountSettingDefaultResponse,
    put_attributes: PutAttributesRequest => PutAttributesResponse,
    put_cluster_capacity_providers: PutClusterCapacityProvidersRequest => PutClusterCapacityProvidersResponse,
    register_task_definition: RegisterTaskDefinitionRequest => RegisterTaskDefinitionResponse,
    run_task: RunTaskRequest => RunTaskResponse,
    start_task: StartTaskRequest => StartTaskResponse,
    stop_service_deployment: StopServiceDeploymentRequest => StopServiceDeploymentResponse,
    stop_task: StopTaskRequest => StopTaskResponse,
    tag_resource: TagResourceRequest => TagResourceResponse,
    untag_resource: UntagResourceRequest => UntagResourceResponse,
    update_cluster: UpdateClusterRequest => UpdateClusterResponse,
    update_cluster_settings: UpdateClusterSettingsRequest => UpdateClusterSettingsResponse,
    update_container_instances_state: UpdateContainerInstancesStateRequest => UpdateContainerInstancesStateResponse,
    update_service: UpdateServiceRequest => UpdateServiceResponse,
    update_task_protection: UpdateTaskProtectionRequest => UpdateTaskProtectionResponse,
}
