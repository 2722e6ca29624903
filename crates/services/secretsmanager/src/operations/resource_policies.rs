//! Policies of secrets.

use outport_aws_secretsmanager::{
    DeleteResourcePolicyRequest, DeleteResourcePolicyResponse, GetResourcePolicyRequest,
    GetResourcePolicyResponse, PutResourcePolicyRequest, PutResourcePolicyResponse,
    ValidateResourcePolicyRequest, ValidateResourcePolicyResponse, ValidationErrorsEntry,
};
use outport_identity::{Call, Question, Subject};
use outport_model::secret::Secret;
use outport_permissions::with_arns;
use outport_store::Tables;

use crate::look::{Named, usable};
use crate::operations::secrets::put_changed;
use crate::rejection::Rejection;
use crate::{SecretsManagerService, policy, view};

/// AWS's text is not known.
const BROAD_ACCESS: &str = "This resource policy grants broad access to the secret.";

/// A secret has one policy, which has no name.
fn refuse_name(policy_name: Option<&String>) -> Result<(), Rejection> {
    match policy_name {
        Some(_) => Err(Rejection::not_built("A resource policy with a name (PolicyName)")),
        None => Ok(()),
    }
}

pub async fn get_resource_policy(
    service: &SecretsManagerService,
    call: &Call,
    input: GetResourcePolicyRequest,
) -> Result<GetResourcePolicyResponse, Rejection> {
    refuse_name(input.policy_name.as_ref())?;
    let id = input.secret_id.unwrap_or_default();
    let named = Named::new(call, service.now(), &id);
    let (tables, found) =
        service.read(call, &id, |tables| named.look(tables, "secretsmanager:GetResourcePolicy"))?;
    let secret = usable(found)?;
    Ok(GetResourcePolicyResponse {
        arn: view::arn(&secret),
        name: view::name(&secret),
        resource_policy: secret.resource_policy.as_deref().map(|kept| with_arns(&tables, kept)),
        policy_name: None,
    })
}

/// Source: API reference, PutResourcePolicy: without BlockPublicPolicy, "public policies aren't blocked during secret operations".
pub async fn put_resource_policy(
    service: &SecretsManagerService,
    call: &Call,
    input: PutResourcePolicyRequest,
) -> Result<PutResourcePolicyResponse, Rejection> {
    refuse_name(input.policy_name.as_ref())?;
    let id = input.secret_id.unwrap_or_default();
    let document = policy::check(input.resource_policy)?;
    let blocks_public = input.block_public_policy.unwrap_or(false);
    if blocks_public && policy::is_public(&document) {
        return Err(Rejection::PublicPolicy(BROAD_ACCESS.to_owned()));
    }
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| {
        named
            .look(tables, "secretsmanager:PutResourcePolicy")
            .with("secretsmanager:BlockPublicPolicy", blocks_public)
    };
    service
        .write(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            secret.resource_policy = Some(policy::as_kept(tx, &secret.scope.account, &document)?);
            let (arn, name) = (view::arn(&secret), view::name(&secret));
            put_changed(tx, secret);
            Ok(PutResourcePolicyResponse { arn, name, policy_name: None })
        })
        .await
}

pub async fn delete_resource_policy(
    service: &SecretsManagerService,
    call: &Call,
    input: DeleteResourcePolicyRequest,
) -> Result<DeleteResourcePolicyResponse, Rejection> {
    refuse_name(input.policy_name.as_ref())?;
    let id = input.secret_id.unwrap_or_default();
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| named.look(tables, "secretsmanager:DeleteResourcePolicy");
    service
        .write_always(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            secret.resource_policy = None;
            let (arn, name) = (view::arn(&secret), view::name(&secret));
            put_changed(tx, secret);
            Ok(DeleteResourcePolicyResponse { arn, name, policy_name: None })
        })
        .await
}

/// Says whether a policy can be put, and whether it lets everyone in.
pub async fn validate_resource_policy(
    service: &SecretsManagerService,
    call: &Call,
    input: ValidateResourcePolicyRequest,
) -> Result<ValidateResourcePolicyResponse, Rejection> {
    let action = "secretsmanager:ValidateResourcePolicy";
    match &input.secret_id {
        Some(id) => {
            let named = Named::new(call, service.now(), id);
            let (_, found) = service.read(call, id, |tables| named.look(tables, action))?;
            usable(found)?;
        }
        None => call.open(Subject::from(Question::without_resource(action)))?,
    }
    let document = policy::check(input.resource_policy)?;
    let is_public = policy::is_public(&document);
    let errors = is_public.then(|| ValidationErrorsEntry {
        check_name: Some("BlockPublicPolicy".to_owned()),
        error_message: Some(BROAD_ACCESS.to_owned()),
    });
    Ok(ValidateResourcePolicyResponse {
        policy_validation_passed: Some(!is_public),
        validation_errors: Some(errors.into_iter().collect()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{POLICY, World};

    const EVERYONE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;

    #[tokio::test]
    async fn a_policy_is_kept_as_it_was_given_and_taken_away() {
        let world = World::full().await;
        let db = json!({"SecretId": "db"});
        world.check("GetResourcePolicy", db.clone(), json!({"ResourcePolicy": POLICY})).await;
        let put = json!({"SecretId": "db", "ResourcePolicy": EVERYONE});
        world.check("PutResourcePolicy", put, json!({"Name": "db"})).await;
        world.check("GetResourcePolicy", db.clone(), json!({"ResourcePolicy": EVERYONE})).await;
        world.call("DeleteResourcePolicy", db.clone()).await;
        world.check("GetResourcePolicy", db, json!({"ResourcePolicy": null})).await;
    }

    #[tokio::test]
    async fn a_policy_for_everyone_does_not_pass() {
        let world = World::full().await;
        for (policy, passes, errors) in [(POLICY, true, 0), (EVERYONE, false, 1)] {
            let answer =
                world.call("ValidateResourcePolicy", json!({"ResourcePolicy": policy})).await;
            assert_eq!(answer["PolicyValidationPassed"], passes);
            assert_eq!(answer["ValidationErrors"].as_array().unwrap().len(), errors);
        }
    }
}
