//! The generated handler trait, operation by operation.

use outport_aws_kms::*;
use outport_identity::Call;

use crate::KmsService;
use crate::operations::{
    aliases, ciphers, codes, data_keys, deletion, grants, keys, policies, rotation, signatures,
    tagging,
};

macro_rules! handler {
    ($($module:ident { $($operation:ident: $input:ident => $output:ty,)+ })+) => {
        impl KmsHandler<Call> for KmsService {
            $($(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, KmsError> {
                let answer = $module::$operation(self, call, input).await;
                answer.map_err(KmsError::from)
            })+)+
        }
    };
}

handler! {
    aliases {
        create_alias: CreateAliasRequest => (),
        delete_alias: DeleteAliasRequest => (),
        list_aliases: ListAliasesRequest => ListAliasesResponse,
        update_alias: UpdateAliasRequest => (),
    }
    ciphers {
        decrypt: DecryptRequest => DecryptResponse,
        encrypt: EncryptRequest => EncryptResponse,
        re_encrypt: ReEncryptRequest => ReEncryptResponse,
    }
    codes {
        generate_mac: GenerateMacRequest => GenerateMacResponse,
        verify_mac: VerifyMacRequest => VerifyMacResponse,
    }
    data_keys {
        generate_data_key: GenerateDataKeyRequest => GenerateDataKeyResponse,
        generate_data_key_without_plaintext: GenerateDataKeyWithoutPlaintextRequest => GenerateDataKeyWithoutPlaintextResponse,
        generate_random: GenerateRandomRequest => GenerateRandomResponse,
    }
    deletion {
        cancel_key_deletion: CancelKeyDeletionRequest => CancelKeyDeletionResponse,
        schedule_key_deletion: ScheduleKeyDeletionRequest => ScheduleKeyDeletionResponse,
    }
    grants {
        create_grant: CreateGrantRequest => CreateGrantResponse,
        list_grants: ListGrantsRequest => ListGrantsResponse,
        list_retirable_grants: ListRetirableGrantsRequest => ListGrantsResponse,
        retire_grant: RetireGrantRequest => (),
        revoke_grant: RevokeGrantRequest => (),
    }
    keys {
        create_key: CreateKeyRequest => CreateKeyResponse,
        describe_key: DescribeKeyRequest => DescribeKeyResponse,
        disable_key: DisableKeyRequest => (),
        enable_key: EnableKeyRequest => (),
        list_keys: ListKeysRequest => ListKeysResponse,
        update_key_description: UpdateKeyDescriptionRequest => (),
    }
    policies {
        get_key_policy: GetKeyPolicyRequest => GetKeyPolicyResponse,
        list_key_policies: ListKeyPoliciesRequest => ListKeyPoliciesResponse,
        put_key_policy: PutKeyPolicyRequest => (),
    }
    rotation {
        disable_key_rotation: DisableKeyRotationRequest => (),
        enable_key_rotation: EnableKeyRotationRequest => (),
        get_key_rotation_status: GetKeyRotationStatusRequest => GetKeyRotationStatusResponse,
        list_key_rotations: ListKeyRotationsRequest => ListKeyRotationsResponse,
        rotate_key_on_demand: RotateKeyOnDemandRequest => RotateKeyOnDemandResponse,
    }
    signatures {
        get_public_key: GetPublicKeyRequest => GetPublicKeyResponse,
        sign: SignRequest => SignResponse,
        verify: VerifyRequest => VerifyResponse,
    }
    tagging {
        list_resource_tags: ListResourceTagsRequest => ListResourceTagsResponse,
        tag_resource: TagResourceRequest => (),
        untag_resource: UntagResourceRequest => (),
    }
}
