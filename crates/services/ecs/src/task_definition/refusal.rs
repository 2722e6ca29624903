//! Whether a registration would be taken, without making it: for whoever plans to carry a definition here.

use outport_aws_ecs::{EcsError, MODEL, RegisterTaskDefinitionRequest};
use outport_aws_wire::{Exchange, Protocol, Request, WireError};
use outport_model::Scope;
use serde_json::Value;

use super::normalise;
use crate::tags;

const OPERATION: &str = "RegisterTaskDefinition";
/// That of the AWS CLI and of most SDKs.
const PROTOCOL: Protocol = Protocol::Json11;

/// Why the account and region `scope` would refuse this input of `RegisterTaskDefinition`, as clients show it: the code and
/// the text. `None` when it would be taken by whoever may call it.
pub fn refusal(input: &Value, scope: &Scope) -> Option<String> {
    let error = check(&input.to_string(), scope).err()?;
    Some(format!("{}: {}", error.code_in(PROTOCOL), error.message))
}

fn check(body: &str, scope: &Scope) -> Result<(), WireError> {
    let exchange = Exchange::new(Request {
        service: &MODEL,
        protocol: PROTOCOL,
        operation: OPERATION,
        body: body.as_bytes(),
        request_id: "",
    })?;
    let mut request: RegisterTaskDefinitionRequest = exchange.read()?;
    tags::parse(request.tags.take()).map_err(EcsError::from)?;
    normalise(request, scope).map_err(EcsError::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::World;

    /// The operation itself says the same.
    async fn compare(input: Value, expected: Option<&str>) {
        let world = World::new();
        assert_eq!(refusal(&input, &world.scope).as_deref(), expected, "{input}");
        let (_, answer) = world.reply(OPERATION, &input).await;
        let code = answer["__type"].as_str().map(|code| code.rsplit('#').next().unwrap_or(code));
        let said = code.map(|code| format!("{code}: {}", answer["message"].as_str().unwrap()));
        assert_eq!(said.as_deref(), expected);
    }

    #[tokio::test]
    async fn what_the_operation_refuses_is_known_before() {
        let input = |image: &str, role: &str| {
            let mut input = json!({
                "family": "app", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc",
                "cpu": "256", "memory": "512",
                "containerDefinitions": [{ "name": "web", "image": image }],
            });
            if !role.is_empty() {
                input["executionRoleArn"] = json!(role);
            }
            input
        };
        let ecr = "000000000000.dkr.ecr.us-east-1.amazonaws.com/app";
        compare(input("127.0.0.1:4566/app", ""), None).await;
        compare(input(ecr, "arn:aws:iam::000000000000:role/x"), None).await;
        let no_role = "ClientException: Fargate requires task definition to have execution role ARN to support ECR images.";
        compare(input(ecr, ""), Some(no_role)).await;
        let mut tagged = input("a", "");
        tagged["tags"] = json!([{ "key": "aws:x", "value": "1" }]);
        assert!(refusal(&tagged, &World::new().scope).unwrap().contains("Exception: "));
        assert!(refusal(&json!({ "family": 5 }), &World::new().scope).is_some());
    }
}
