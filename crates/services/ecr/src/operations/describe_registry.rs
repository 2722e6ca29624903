//! `DescribeRegistry`.

use outport_aws_ecr::{
    DescribeRegistryRequest, DescribeRegistryResponse, EcrError, ReplicationConfiguration,
};
use outport_identity::Call;

use crate::EcrService;

/// No replication can be configured, so that there is none.
pub(crate) async fn describe_registry(
    service: &EcrService,
    call: &Call,
    _input: DescribeRegistryRequest,
) -> Result<DescribeRegistryResponse, EcrError> {
    let whole = service.whole_registry(call, "ecr:DescribeRegistry")?;
    Ok(DescribeRegistryResponse {
        registry_id: Some(whole.scope.account.to_string()),
        replication_configuration: Some(ReplicationConfiguration { rules: Some(Vec::new()) }),
    })
}
