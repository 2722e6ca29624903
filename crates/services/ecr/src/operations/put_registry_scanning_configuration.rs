//! `PutRegistryScanningConfiguration`: kept and shown; nothing scans.

use outport_aws_ecr::{
    EcrError, PutRegistryScanningConfigurationRequest, PutRegistryScanningConfigurationResponse,
};
use outport_identity::Call;

use crate::EcrService;
use crate::scanning::Scanning;

pub(crate) async fn put_registry_scanning_configuration(
    service: &EcrService,
    call: &Call,
    input: PutRegistryScanningConfigurationRequest,
) -> Result<PutRegistryScanningConfigurationResponse, EcrError> {
    let scanning = Scanning::parse(input.scan_type, input.rules.unwrap_or_default())?;
    let whole = service.whole_registry(call, "ecr:PutRegistryScanningConfiguration")?;
    let shown = scanning.view();
    whole.blocking(move |registry, scope| scanning.keep(registry, scope)).await?;
    let registry_scanning_configuration = Some(shown);
    Ok(PutRegistryScanningConfigurationResponse { registry_scanning_configuration })
}
