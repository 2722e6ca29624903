//! Labels of versions.

use outport_aws_secretsmanager::{
    UpdateSecretVersionStageRequest, UpdateSecretVersionStageResponse,
};
use outport_identity::Call;
use outport_model::secret::Secret;
use outport_store::Tables;

use crate::look::{Named, usable};
use crate::operations::secrets::put_changed;
use crate::rejection::Rejection;
use crate::{SecretsManagerService, versions, view};

pub async fn update_secret_version_stage(
    service: &SecretsManagerService,
    call: &Call,
    input: UpdateSecretVersionStageRequest,
) -> Result<UpdateSecretVersionStageResponse, Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let stage = input.version_stage.unwrap_or_default();
    let (from, to) = (input.remove_from_version_id.as_deref(), input.move_to_version_id.as_deref());
    if from.is_none() && to.is_none() {
        return Err(Rejection::invalid(
            "You must provide MoveToVersionId, RemoveFromVersionId, or both.",
        ));
    }
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| {
        named
            .look(tables, "secretsmanager:UpdateSecretVersionStage")
            .with("secretsmanager:VersionStage", stage.as_str())
    };
    service
        .write(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            versions::move_stage(&mut secret, &stage, from, to)?;
            let answer = UpdateSecretVersionStageResponse {
                arn: view::arn(&secret),
                name: view::name(&secret),
            };
            put_changed(tx, secret);
            Ok(answer)
        })
        .await
}
