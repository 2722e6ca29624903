//! What users and accounts have on AWS and nobody can make here: devices for a second factor, keys and certificates for other services,
//! SAML providers. Their lists are asked by who deletes users, such as Terraform with `force_destroy` and Ansible, and are empty.

use outport_aws_iam::{
    ListMFADevicesRequest, ListMFADevicesResponse, ListSAMLProvidersRequest,
    ListSAMLProvidersResponse, ListSSHPublicKeysRequest, ListSSHPublicKeysResponse,
    ListServiceSpecificCredentialsRequest, ListServiceSpecificCredentialsResponse,
    ListSigningCertificatesRequest, ListSigningCertificatesResponse, ListVirtualMFADevicesRequest,
    ListVirtualMFADevicesResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::User;
use outport_store::Tables;

use crate::IamService;
use crate::entity::{look, there};
use crate::rejection::Rejection;

/// The user that is named, or else the caller: is it there?
fn check_user(
    service: &IamService,
    call: &Call,
    user_name: Option<&str>,
    action: &'static str,
) -> Result<(), Rejection> {
    let Some(name) = user_name.or_else(|| call.principal.user_name()) else {
        return Ok(call.open(Subject::from(Question::new(action, call.principal.arn())))?);
    };
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, action);
    let (_, found) = service.store.read(call, ask)?;
    there(found, name).map(drop)
}

pub async fn list_mfa_devices(
    service: &IamService,
    call: &Call,
    input: ListMFADevicesRequest,
) -> Result<ListMFADevicesResponse, Rejection> {
    check_user(service, call, input.user_name.as_deref(), "iam:ListMFADevices")?;
    Ok(ListMFADevicesResponse {
        mfa_devices: Some(Vec::new()),
        is_truncated: Some(false),
        marker: None,
    })
}

pub async fn list_ssh_public_keys(
    service: &IamService,
    call: &Call,
    input: ListSSHPublicKeysRequest,
) -> Result<ListSSHPublicKeysResponse, Rejection> {
    check_user(service, call, input.user_name.as_deref(), "iam:ListSSHPublicKeys")?;
    Ok(ListSSHPublicKeysResponse {
        ssh_public_keys: Some(Vec::new()),
        is_truncated: Some(false),
        marker: None,
    })
}

pub async fn list_signing_certificates(
    service: &IamService,
    call: &Call,
    input: ListSigningCertificatesRequest,
) -> Result<ListSigningCertificatesResponse, Rejection> {
    check_user(service, call, input.user_name.as_deref(), "iam:ListSigningCertificates")?;
    Ok(ListSigningCertificatesResponse {
        certificates: Some(Vec::new()),
        is_truncated: Some(false),
        marker: None,
    })
}

pub async fn list_service_specific_credentials(
    service: &IamService,
    call: &Call,
    input: ListServiceSpecificCredentialsRequest,
) -> Result<ListServiceSpecificCredentialsResponse, Rejection> {
    let action = "iam:ListServiceSpecificCredentials";
    check_user(service, call, input.user_name.as_deref(), action)?;
    Ok(ListServiceSpecificCredentialsResponse {
        service_specific_credentials: Some(Vec::new()),
        marker: None,
        is_truncated: Some(false),
    })
}

pub async fn list_virtual_mfa_devices(
    _: &IamService,
    call: &Call,
    _: ListVirtualMFADevicesRequest,
) -> Result<ListVirtualMFADevicesResponse, Rejection> {
    let resource = format!("arn:aws:iam::{}:mfa/", call.account);
    call.open(Subject::from(Question::new("iam:ListVirtualMFADevices", resource)))?;
    Ok(ListVirtualMFADevicesResponse {
        virtual_mfa_devices: Some(Vec::new()),
        is_truncated: Some(false),
        marker: None,
    })
}

pub async fn list_saml_providers(
    _: &IamService,
    call: &Call,
    _: ListSAMLProvidersRequest,
) -> Result<ListSAMLProvidersResponse, Rejection> {
    let resource = format!("arn:aws:iam::{}:saml-provider/", call.account);
    call.open(Subject::from(Question::new("iam:ListSAMLProviders", resource)))?;
    Ok(ListSAMLProvidersResponse { saml_provider_list: Some(Vec::new()) })
}
