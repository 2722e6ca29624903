//! The generated handler trait, operation by operation.

use outport_aws_secretsmanager::*;
use outport_identity::Call;

use crate::SecretsManagerService;
use crate::operations::{
    batch, deletion, lists, passwords, resource_policies, rotation, secrets, stages, tagging,
    values,
};

macro_rules! handler {
    ($($module:ident { $($operation:ident: $input:ident => $output:ty,)+ })+) => {
        impl SecretsManagerHandler<Call> for SecretsManagerService {
            $($(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, SecretsManagerError> {
                let answer = $module::$operation(self, call, input).await;
                answer.map_err(SecretsManagerError::from)
            })+)+
        }
    };
}

handler! {
    batch {
        batch_get_secret_value: BatchGetSecretValueRequest => BatchGetSecretValueResponse,
    }
    deletion {
        delete_secret: DeleteSecretRequest => DeleteSecretResponse,
        restore_secret: RestoreSecretRequest => RestoreSecretResponse,
    }
    lists {
        list_secret_version_ids: ListSecretVersionIdsRequest => ListSecretVersionIdsResponse,
        list_secrets: ListSecretsRequest => ListSecretsResponse,
    }
    passwords {
        get_random_password: GetRandomPasswordRequest => GetRandomPasswordResponse,
    }
    resource_policies {
        delete_resource_policy: DeleteResourcePolicyRequest => DeleteResourcePolicyResponse,
        get_resource_policy: GetResourcePolicyRequest => GetResourcePolicyResponse,
        put_resource_policy: PutResourcePolicyRequest => PutResourcePolicyResponse,
        validate_resource_policy: ValidateResourcePolicyRequest => ValidateResourcePolicyResponse,
    }
    rotation {
        cancel_rotate_secret: CancelRotateSecretRequest => CancelRotateSecretResponse,
        rotate_secret: RotateSecretRequest => RotateSecretResponse,
    }
    secrets {
        create_secret: CreateSecretRequest => CreateSecretResponse,
        describe_secret: DescribeSecretRequest => DescribeSecretResponse,
        update_secret: UpdateSecretRequest => UpdateSecretResponse,
    }
    stages {
        update_secret_version_stage: UpdateSecretVersionStageRequest => UpdateSecretVersionStageResponse,
    }
    tagging {
        tag_resource: TagResourceRequest => (),
        untag_resource: UntagResourceRequest => (),
    }
    values {
        get_secret_value: GetSecretValueRequest => GetSecretValueResponse,
        put_secret_value: PutSecretValueRequest => PutSecretValueResponse,
    }
}
