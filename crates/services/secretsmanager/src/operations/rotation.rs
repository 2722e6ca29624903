//! How a secret is to be rotated: kept and shown. No Lambda function runs here, so nothing is rotated, and what would run one now is
//! refused.

use outport_aws_secretsmanager::{
    CancelRotateSecretRequest, CancelRotateSecretResponse, RotateSecretRequest,
    RotateSecretResponse, RotationRulesType,
};
use outport_identity::Call;
use outport_model::secret::{Rotation, Secret};
use outport_store::Tables;

use crate::look::{Named, usable};
use crate::operations::secrets::put_changed;
use crate::rejection::Rejection;
use crate::{SecretsManagerService, view};

pub async fn rotate_secret(
    service: &SecretsManagerService,
    call: &Call,
    input: RotateSecretRequest,
) -> Result<RotateSecretResponse, Rejection> {
    if input.external_secret_rotation_metadata.is_some()
        || input.external_secret_rotation_role_arn.is_some()
    {
        return Err(Rejection::not_built("A rotation by a partner's software"));
    }
    // Source: API reference, RotateImmediately: "The default is true".
    if input.rotate_immediately != Some(false) {
        return Err(Rejection::not_built(
            "A rotation, which runs a Lambda function (RotateSecret without RotateImmediately false),",
        ));
    }
    check_rules(input.rotation_rules.as_ref())?;
    let id = input.secret_id.unwrap_or_default();
    let lambda = input.rotation_lambda_arn.filter(|arn| !arn.is_empty());
    let rules = input.rotation_rules;
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| {
        let subject = named
            .look(tables, "secretsmanager:RotateSecret")
            .with("secretsmanager:RotateImmediately", false)
            .with("secretsmanager:ModifyRotationRules", rules.is_some());
        match &lambda {
            Some(arn) => subject.with("secretsmanager:RotationLambdaARN", arn.as_str()),
            None => subject,
        }
    };
    service
        .write(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            let rotation = changed(secret.rotation.take(), lambda.clone(), rules.clone())?;
            secret.rotation = Some(rotation);
            let (arn, name) = (view::arn(&secret), view::name(&secret));
            put_changed(tx, secret);
            Ok(RotateSecretResponse { arn, name, version_id: None })
        })
        .await
}

fn check_rules(rules: Option<&RotationRulesType>) -> Result<(), Rejection> {
    let Some(rules) = rules else { return Ok(()) };
    // Source: API reference, RotationRulesType: "you can use … or …, but not both".
    if rules.automatically_after_days.is_some() && rules.schedule_expression.is_some() {
        return Err(Rejection::invalid(
            "You can't specify both AutomaticallyAfterDays and ScheduleExpression.",
        ));
    }
    Ok(())
}

fn changed(
    before: Option<Rotation>,
    lambda: Option<String>,
    rules: Option<RotationRulesType>,
) -> Result<Rotation, Rejection> {
    let before = before.unwrap_or_default();
    let Some(lambda_arn) = lambda.or_else(|| before.lambda_arn.clone()) else {
        return Err(Rejection::InvalidRequest(
            "No Lambda rotation function ARN is associated with this secret.".to_owned(),
        ));
    };
    let kept = Rotation { is_enabled: true, lambda_arn: Some(lambda_arn), ..before };
    Ok(match rules {
        Some(rules) => Rotation {
            automatically_after_days: rules.automatically_after_days,
            duration: rules.duration,
            schedule_expression: rules.schedule_expression,
            ..kept
        },
        None => kept,
    })
}

/// The text of the refusal is ours.
pub async fn cancel_rotate_secret(
    service: &SecretsManagerService,
    call: &Call,
    input: CancelRotateSecretRequest,
) -> Result<CancelRotateSecretResponse, Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| named.look(tables, "secretsmanager:CancelRotateSecret");
    service
        .write_always(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            let Some(rotation) = secret.rotation.as_mut() else {
                return Err(Rejection::InvalidRequest(
                    "You tried to cancel a rotation of a secret that has none.".to_owned(),
                ));
            };
            rotation.is_enabled = false;
            let (arn, name) = (view::arn(&secret), view::name(&secret));
            put_changed(tx, secret);
            Ok(CancelRotateSecretResponse { arn, name, version_id: None })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_rotation_is_kept_changed_and_switched_off() {
        let world = World::new();
        world.call("CreateSecret", json!({"Name": "db"})).await;
        let (db, lambda) =
            (json!({"SecretId": "db"}), "arn:aws:lambda:us-east-1:000000000000:function:f");
        let rotate = |more: serde_json::Value| {
            let mut input = json!({"SecretId": "db", "RotateImmediately": false});
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        let text = "No Lambda rotation function ARN is associated with this secret.";
        world.refuses("RotateSecret", rotate(json!({})), "InvalidRequestException", text).await;
        let text = "You tried to cancel a rotation of a secret that has none.";
        world.refuses("CancelRotateSecret", db.clone(), "InvalidRequestException", text).await;
        world.check("DescribeSecret", db.clone(), json!({"RotationEnabled": null})).await;
        world.call("RotateSecret", rotate(json!({"RotationLambdaARN": lambda}))).await;
        let rules = json!({"RotationRules": {"AutomaticallyAfterDays": 30, "Duration": "2h"}});
        world.call("RotateSecret", rotate(rules.clone())).await;
        let shown = json!({
            "RotationEnabled": true, "RotationLambdaARN": lambda, "RotationRules": rules["RotationRules"],
        });
        world.check("DescribeSecret", db.clone(), shown).await;
        world.call("CancelRotateSecret", db.clone()).await;
        world.check("DescribeSecret", db, json!({"RotationEnabled": false})).await;
    }
}
