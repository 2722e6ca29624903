//! The generated handler trait, operation by operation.

use outport_aws_iam::*;
use outport_identity::Call;

use crate::IamService;
use crate::operations::{
    absent_kinds, access_keys, account_aliases, accounts, attached_policies, boundaries,
    credential_reports, group_members, groups, inline_policies, instance_profiles, login_profiles,
    managed_policies, oidc_providers, password_policies, policy_versions, roles,
    server_certificates, service_linked_roles, simulations, tagging, users,
};

macro_rules! handler {
    ($($module:ident { $($operation:ident: $input:ty => $output:ty,)+ })+) => {
        impl IamHandler<Call> for IamService {
            $($(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, IamError> {
                let answer = $module::$operation(self, call, input).await;
                answer.map_err(IamError::from)
            })+)+
        }
    };
}

handler! {
    absent_kinds {
        list_mfa_devices: ListMFADevicesRequest => ListMFADevicesResponse,
        list_saml_providers: ListSAMLProvidersRequest => ListSAMLProvidersResponse,
        list_ssh_public_keys: ListSSHPublicKeysRequest => ListSSHPublicKeysResponse,
        list_service_specific_credentials: ListServiceSpecificCredentialsRequest => ListServiceSpecificCredentialsResponse,
        list_signing_certificates: ListSigningCertificatesRequest => ListSigningCertificatesResponse,
        list_virtual_mfa_devices: ListVirtualMFADevicesRequest => ListVirtualMFADevicesResponse,
    }
    access_keys {
        create_access_key: CreateAccessKeyRequest => CreateAccessKeyResponse,
        delete_access_key: DeleteAccessKeyRequest => (),
        get_access_key_last_used: GetAccessKeyLastUsedRequest => GetAccessKeyLastUsedResponse,
        list_access_keys: ListAccessKeysRequest => ListAccessKeysResponse,
        update_access_key: UpdateAccessKeyRequest => (),
    }
    account_aliases {
        create_account_alias: CreateAccountAliasRequest => (),
        delete_account_alias: DeleteAccountAliasRequest => (),
        list_account_aliases: ListAccountAliasesRequest => ListAccountAliasesResponse,
    }
    accounts {
        get_account_authorization_details: GetAccountAuthorizationDetailsRequest => GetAccountAuthorizationDetailsResponse,
        get_account_summary: () => GetAccountSummaryResponse,
    }
    attached_policies {
        attach_group_policy: AttachGroupPolicyRequest => (),
        attach_role_policy: AttachRolePolicyRequest => (),
        attach_user_policy: AttachUserPolicyRequest => (),
        detach_group_policy: DetachGroupPolicyRequest => (),
        detach_role_policy: DetachRolePolicyRequest => (),
        detach_user_policy: DetachUserPolicyRequest => (),
        list_attached_group_policies: ListAttachedGroupPoliciesRequest => ListAttachedGroupPoliciesResponse,
        list_attached_role_policies: ListAttachedRolePoliciesRequest => ListAttachedRolePoliciesResponse,
        list_attached_user_policies: ListAttachedUserPoliciesRequest => ListAttachedUserPoliciesResponse,
    }
    boundaries {
        delete_role_permissions_boundary: DeleteRolePermissionsBoundaryRequest => (),
        delete_user_permissions_boundary: DeleteUserPermissionsBoundaryRequest => (),
        put_role_permissions_boundary: PutRolePermissionsBoundaryRequest => (),
        put_user_permissions_boundary: PutUserPermissionsBoundaryRequest => (),
    }
    credential_reports {
        generate_credential_report: () => GenerateCredentialReportResponse,
        get_credential_report: () => GetCredentialReportResponse,
    }
    group_members {
        add_user_to_group: AddUserToGroupRequest => (),
        list_groups_for_user: ListGroupsForUserRequest => ListGroupsForUserResponse,
        remove_user_from_group: RemoveUserFromGroupRequest => (),
    }
    groups {
        create_group: CreateGroupRequest => CreateGroupResponse,
        delete_group: DeleteGroupRequest => (),
        get_group: GetGroupRequest => GetGroupResponse,
        list_groups: ListGroupsRequest => ListGroupsResponse,
        update_group: UpdateGroupRequest => (),
    }
    inline_policies {
        delete_group_policy: DeleteGroupPolicyRequest => (),
        delete_role_policy: DeleteRolePolicyRequest => (),
        delete_user_policy: DeleteUserPolicyRequest => (),
        get_group_policy: GetGroupPolicyRequest => GetGroupPolicyResponse,
        get_role_policy: GetRolePolicyRequest => GetRolePolicyResponse,
        get_user_policy: GetUserPolicyRequest => GetUserPolicyResponse,
        list_group_policies: ListGroupPoliciesRequest => ListGroupPoliciesResponse,
        list_role_policies: ListRolePoliciesRequest => ListRolePoliciesResponse,
        list_user_policies: ListUserPoliciesRequest => ListUserPoliciesResponse,
        put_group_policy: PutGroupPolicyRequest => (),
        put_role_policy: PutRolePolicyRequest => (),
        put_user_policy: PutUserPolicyRequest => (),
    }
    instance_profiles {
        add_role_to_instance_profile: AddRoleToInstanceProfileRequest => (),
        create_instance_profile: CreateInstanceProfileRequest => CreateInstanceProfileResponse,
        delete_instance_profile: DeleteInstanceProfileRequest => (),
        get_instance_profile: GetInstanceProfileRequest => GetInstanceProfileResponse,
        list_instance_profiles: ListInstanceProfilesRequest => ListInstanceProfilesResponse,
        list_instance_profiles_for_role: ListInstanceProfilesForRoleRequest => ListInstanceProfilesForRoleResponse,
        remove_role_from_instance_profile: RemoveRoleFromInstanceProfileRequest => (),
    }
    login_profiles {
        change_password: ChangePasswordRequest => (),
        create_login_profile: CreateLoginProfileRequest => CreateLoginProfileResponse,
        delete_login_profile: DeleteLoginProfileRequest => (),
        get_login_profile: GetLoginProfileRequest => GetLoginProfileResponse,
        update_login_profile: UpdateLoginProfileRequest => (),
    }
    managed_policies {
        create_policy: CreatePolicyRequest => CreatePolicyResponse,
        delete_policy: DeletePolicyRequest => (),
        get_policy: GetPolicyRequest => GetPolicyResponse,
        list_entities_for_policy: ListEntitiesForPolicyRequest => ListEntitiesForPolicyResponse,
        list_policies: ListPoliciesRequest => ListPoliciesResponse,
    }
    oidc_providers {
        add_client_id_to_open_id_connect_provider: AddClientIDToOpenIDConnectProviderRequest => (),
        create_open_id_connect_provider: CreateOpenIDConnectProviderRequest => CreateOpenIDConnectProviderResponse,
        delete_open_id_connect_provider: DeleteOpenIDConnectProviderRequest => (),
        get_open_id_connect_provider: GetOpenIDConnectProviderRequest => GetOpenIDConnectProviderResponse,
        list_open_id_connect_providers: ListOpenIDConnectProvidersRequest => ListOpenIDConnectProvidersResponse,
        remove_client_id_from_open_id_connect_provider: RemoveClientIDFromOpenIDConnectProviderRequest => (),
        update_open_id_connect_provider_thumbprint: UpdateOpenIDConnectProviderThumbprintRequest => (),
    }
    password_policies {
        delete_account_password_policy: () => (),
        get_account_password_policy: () => GetAccountPasswordPolicyResponse,
        update_account_password_policy: UpdateAccountPasswordPolicyRequest => (),
    }
    policy_versions {
        create_policy_version: CreatePolicyVersionRequest => CreatePolicyVersionResponse,
        delete_policy_version: DeletePolicyVersionRequest => (),
        get_policy_version: GetPolicyVersionRequest => GetPolicyVersionResponse,
        list_policy_versions: ListPolicyVersionsRequest => ListPolicyVersionsResponse,
        set_default_policy_version: SetDefaultPolicyVersionRequest => (),
    }
    roles {
        create_role: CreateRoleRequest => CreateRoleResponse,
        delete_role: DeleteRoleRequest => (),
        get_role: GetRoleRequest => GetRoleResponse,
        list_roles: ListRolesRequest => ListRolesResponse,
        update_assume_role_policy: UpdateAssumeRolePolicyRequest => (),
        update_role: UpdateRoleRequest => UpdateRoleResponse,
        update_role_description: UpdateRoleDescriptionRequest => UpdateRoleDescriptionResponse,
    }
    server_certificates {
        delete_server_certificate: DeleteServerCertificateRequest => (),
        get_server_certificate: GetServerCertificateRequest => GetServerCertificateResponse,
        list_server_certificates: ListServerCertificatesRequest => ListServerCertificatesResponse,
        update_server_certificate: UpdateServerCertificateRequest => (),
        upload_server_certificate: UploadServerCertificateRequest => UploadServerCertificateResponse,
    }
    service_linked_roles {
        create_service_linked_role: CreateServiceLinkedRoleRequest => CreateServiceLinkedRoleResponse,
        delete_service_linked_role: DeleteServiceLinkedRoleRequest => DeleteServiceLinkedRoleResponse,
        get_service_linked_role_deletion_status: GetServiceLinkedRoleDeletionStatusRequest => GetServiceLinkedRoleDeletionStatusResponse,
    }
    simulations {
        get_context_keys_for_custom_policy: GetContextKeysForCustomPolicyRequest => GetContextKeysForPolicyResponse,
        get_context_keys_for_principal_policy: GetContextKeysForPrincipalPolicyRequest => GetContextKeysForPolicyResponse,
        simulate_custom_policy: SimulateCustomPolicyRequest => SimulatePolicyResponse,
        simulate_principal_policy: SimulatePrincipalPolicyRequest => SimulatePolicyResponse,
    }
    tagging {
        list_instance_profile_tags: ListInstanceProfileTagsRequest => ListInstanceProfileTagsResponse,
        list_open_id_connect_provider_tags: ListOpenIDConnectProviderTagsRequest => ListOpenIDConnectProviderTagsResponse,
        list_policy_tags: ListPolicyTagsRequest => ListPolicyTagsResponse,
        list_role_tags: ListRoleTagsRequest => ListRoleTagsResponse,
        list_server_certificate_tags: ListServerCertificateTagsRequest => ListServerCertificateTagsResponse,
        list_user_tags: ListUserTagsRequest => ListUserTagsResponse,
        tag_instance_profile: TagInstanceProfileRequest => (),
        tag_open_id_connect_provider: TagOpenIDConnectProviderRequest => (),
        tag_policy: TagPolicyRequest => (),
        tag_role: TagRoleRequest => (),
        tag_server_certificate: TagServerCertificateRequest => (),
        tag_user: TagUserRequest => (),
        untag_instance_profile: UntagInstanceProfileRequest => (),
        untag_open_id_connect_provider: UntagOpenIDConnectProviderRequest => (),
        untag_policy: UntagPolicyRequest => (),
        untag_role: UntagRoleRequest => (),
        untag_server_certificate: UntagServerCertificateRequest => (),
        untag_user: UntagUserRequest => (),
    }
    users {
        create_user: CreateUserRequest => CreateUserResponse,
        delete_user: DeleteUserRequest => (),
        get_user: GetUserRequest => GetUserResponse,
        list_users: ListUsersRequest => ListUsersResponse,
        update_user: UpdateUserRequest => (),
    }
}
