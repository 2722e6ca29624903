//! Parameters deleted, with all their versions.

use outport_aws_ssm::{
    DeleteParameterRequest, DeleteParameterResult, DeleteParametersRequest, DeleteParametersResult,
};
use outport_identity::{Call, Question};
use outport_model::parameter::{Parameter, ParameterVersion};
use outport_store::{Row, Tables, Transaction};

use crate::SsmService;
use crate::look::{look, there};
use crate::names::{Reference, scope};
use crate::operations::read::each;
use crate::rejection::Rejection;

pub async fn delete_parameter(
    service: &SsmService,
    call: &Call,
    input: DeleteParameterRequest,
) -> Result<DeleteParameterResult, Rejection> {
    let scope = scope(call);
    let reference = Reference::parse(&scope, &input.name.unwrap_or_default())?;
    let ask = |tables: &Tables| look(tables, &scope, &reference, "ssm:DeleteParameter");
    service
        .store
        .write_always(call, ask, |tx, found| {
            remove(tx, &*there(found)?);
            Ok(DeleteParameterResult::default())
        })
        .await
}

pub async fn delete_parameters(
    service: &SsmService,
    call: &Call,
    input: DeleteParametersRequest,
) -> Result<DeleteParametersResult, Rejection> {
    let (scope, names) = (scope(call), input.names.unwrap_or_default());
    let references = names.iter().map(|name| Reference::parse(&scope, name));
    let references: Vec<Reference> = references.collect::<Result<_, _>>()?;
    let ask = |tables: &Tables| {
        let nothing = Question::without_resource("ssm:DeleteParameters");
        each(references.iter().map(|it| look(tables, &scope, it, "ssm:DeleteParameters")), nothing)
    };
    service
        .store
        .write_always(call, ask, |tx, found| {
            let (mut deleted, mut invalid) = (Vec::new(), Vec::new());
            for (name, parameter) in names.into_iter().zip(found) {
                match parameter {
                    Some(parameter) => {
                        remove(tx, &parameter);
                        deleted.push(name);
                    }
                    None => invalid.push(name),
                }
            }
            Ok(DeleteParametersResult {
                deleted_parameters: Some(deleted),
                invalid_parameters: Some(invalid),
            })
        })
        .await
}

fn remove(tx: &mut Transaction<'_>, parameter: &Parameter) {
    let versions: Vec<_> =
        tx.parameter_versions.of(parameter).map(|version| version.key()).collect();
    for version in versions {
        tx.remove::<ParameterVersion>(&version);
    }
    tx.remove::<Parameter>(&parameter.key());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_parameter_goes_with_its_versions() {
        let world = World::full().await;
        let names = json!({"Names": ["/prod/db", "none"]});
        let answer = json!({"DeletedParameters": ["/prod/db"], "InvalidParameters": ["none"]});
        world.check("DeleteParameters", names, answer).await;
        let tables = world.store.snapshot();
        assert!(tables.parameters.is_empty() && tables.parameter_versions.is_empty());
        world
            .refuses("DeleteParameter", json!({"Name": "/prod/db"}), "ParameterNotFound", "")
            .await;
        world
            .call("PutParameter", json!({"Name": "/prod/db", "Value": "v", "Type": "String"}))
            .await;
        world.call("DeleteParameter", json!({"Name": "/prod/db"})).await;
    }
}
