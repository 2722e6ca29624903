//! `GetAccountSetting`.

use outport_aws_ecr::{EcrError, GetAccountSettingRequest, GetAccountSettingResponse};
use outport_identity::Call;

use crate::EcrService;
use crate::operations::put_account_setting::holds;

pub(crate) async fn get_account_setting(
    service: &EcrService,
    call: &Call,
    input: GetAccountSettingRequest,
) -> Result<GetAccountSettingResponse, EcrError> {
    let (name, value) = holds(input.name.as_deref())?;
    service.whole_registry(call, "ecr:GetAccountSetting")?;
    Ok(GetAccountSettingResponse { name: Some(name.into()), value: Some(value.into()) })
}
