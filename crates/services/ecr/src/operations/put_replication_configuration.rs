//! `PutReplicationConfiguration`: an empty one is what there is; nothing replicates.

use outport_aws_ecr::{
    EcrError, PutReplicationConfigurationRequest, PutReplicationConfigurationResponse,
};
use outport_identity::Call;

use crate::EcrService;
use crate::rejection::invalid_parameter;

pub(crate) async fn put_replication_configuration(
    service: &EcrService,
    call: &Call,
    input: PutReplicationConfigurationRequest,
) -> Result<PutReplicationConfigurationResponse, EcrError> {
    let configuration = input.replication_configuration.unwrap_or_default();
    if configuration.rules.as_ref().is_some_and(|rules| !rules.is_empty()) {
        let constraint = "replication (rules) is not built here: the configuration must have none";
        return Err(invalid_parameter("replicationConfiguration", constraint));
    }
    service.whole_registry(call, "ecr:PutReplicationConfiguration")?;
    Ok(PutReplicationConfigurationResponse { replication_configuration: Some(configuration) })
}
