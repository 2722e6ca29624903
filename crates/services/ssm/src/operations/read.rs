//! Parameters read by name.

use std::sync::Arc;

use outport_aws_ssm::{
    GetParameterRequest, GetParameterResult, GetParametersRequest, GetParametersResult,
};
use outport_identity::{Call, Question, Subject};
use outport_model::parameter::Parameter;
use outport_store::Tables;

use crate::look::{look, select, there};
use crate::names::{Reference, scope};
use crate::rejection::Rejection;
use crate::{SsmService, keys, view};

pub async fn get_parameter(
    service: &SsmService,
    call: &Call,
    input: GetParameterRequest,
) -> Result<GetParameterResult, Rejection> {
    let scope = scope(call);
    let reference = Reference::parse(&scope, &input.name.unwrap_or_default())?;
    let is_decrypted = input.with_decryption.unwrap_or(false);
    let (tables, found) =
        service.store.read(call, |tables| look(tables, &scope, &reference, "ssm:GetParameter"))?;
    let parameter = there(found)?;
    let version = select(&tables, &parameter, &reference)?;
    if is_decrypted {
        keys::authorize(call, &tables, [&**version])?;
    }
    let with = (service, &*tables);
    let shown = view::parameter(with, &parameter, version, Some(&reference), is_decrypted)?;
    Ok(GetParameterResult { parameter: Some(shown) })
}

/// What is not there is named in the answer; one that may not be read refuses them all.
pub async fn get_parameters(
    service: &SsmService,
    call: &Call,
    input: GetParametersRequest,
) -> Result<GetParametersResult, Rejection> {
    let (scope, names) = (scope(call), input.names.unwrap_or_default());
    let is_decrypted = input.with_decryption.unwrap_or(false);
    let references = names.iter().map(|name| Reference::parse(&scope, name));
    let references: Vec<Reference> = references.collect::<Result<_, _>>()?;
    let ask = |tables: &Tables| {
        let nothing = Question::without_resource("ssm:GetParameters");
        each(references.iter().map(|it| look(tables, &scope, it, "ssm:GetParameters")), nothing)
    };
    let (tables, found) = service.store.read(call, ask)?;
    let (mut parameters, mut invalid_parameters) = (Vec::new(), Vec::new());
    for ((name, reference), parameter) in names.into_iter().zip(&references).zip(found) {
        let selected = parameter
            .as_ref()
            .and_then(|parameter| Some((parameter, select(&tables, parameter, reference).ok()?)));
        match selected {
            Some((parameter, version)) => {
                if is_decrypted {
                    keys::authorize(call, &tables, [&**version])?;
                }
                let with = (service, &*tables);
                let shown =
                    view::parameter(with, parameter, version, Some(reference), is_decrypted)?;
                parameters.push(shown);
            }
            None => invalid_parameters.push(name),
        }
    }
    Ok(GetParametersResult {
        parameters: Some(parameters),
        invalid_parameters: Some(invalid_parameters),
    })
}

/// Several subjects as one, in their order; `otherwise` is asked where there are none.
pub fn each(
    subjects: impl Iterator<Item = Subject<Option<Arc<Parameter>>>>,
    otherwise: Question,
) -> Subject<Vec<Option<Arc<Parameter>>>> {
    let lists = subjects.map(|subject| subject.map(|found| vec![found]));
    let all = lists.reduce(|all, one| {
        all.join(one).map(|(mut all, one)| {
            all.extend(one);
            all
        })
    });
    all.unwrap_or_else(|| Subject::new(Vec::new(), otherwise))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{CLEAR, World};

    #[tokio::test]
    async fn a_secure_string_is_shown_in_clear_to_who_asks_for_it() {
        let world = World::full().await;
        let sealed = world.call("GetParameter", json!({"Name": "/prod/db"})).await;
        assert_ne!(sealed["Parameter"]["Value"], "second", "{sealed}");
        let arn = "arn:aws:ssm:us-east-1:000000000000:parameter/prod/db";
        for (name, version, value) in [
            ("/prod/db", 2, "second"),
            ("/prod/db:1", 1, CLEAR),
            ("/prod/db:live", 1, CLEAR),
            (arn, 2, "second"),
            (&format!("{arn}:1"), 1, CLEAR),
        ] {
            let get = json!({"Name": name, "WithDecryption": true});
            let answer = world.call("GetParameter", get).await;
            let shown = &answer["Parameter"];
            assert_eq!(
                (&shown["Version"], &shown["Value"]),
                (&json!(version), &json!(value)),
                "{name}"
            );
            assert_eq!((&shown["Name"], &shown["ARN"]), (&json!("/prod/db"), &json!(arn)));
        }
        let rows =
            format!("{:?}", world.store.snapshot().parameter_versions.iter().collect::<Vec<_>>());
        assert!(rows.contains("sealed") && !rows.contains("battery"), "{rows}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_refused_or_named() {
        let world = World::full().await;
        let get = |name: &str| json!({"Name": name});
        world.refuses("GetParameter", get("none"), "ParameterNotFound", "").await;
        for (name, shown) in [("/prod/db:9", "9"), ("/prod/db:dead", "dead")] {
            let text = format!(
                "Systems Manager could not find version {shown} of /prod/db. Verify the version and try again."
            );
            world.refuses("GetParameter", get(name), "ParameterVersionNotFound", &text).await;
        }
        let text = "A public parameter, or a secret by its parameter (/aws/…), is not supported by this version of Outport. \
                    See docs/compatibility.md.";
        world.refuses("GetParameter", get("/aws/service/x"), "NotImplemented", text).await;
        let names = json!({"Names": ["/prod/db", "none", "/prod/db:9"], "WithDecryption": true});
        let answer = world.call("GetParameters", names).await;
        assert_eq!(answer["InvalidParameters"], json!(["none", "/prod/db:9"]));
        assert_eq!(answer["Parameters"][0]["Value"], "second");
    }

    /// The ARN of `/a` is that of `a`.
    #[tokio::test]
    async fn a_name_of_one_level_is_found_by_its_arn() {
        let world = World::new();
        for name in ["a", "/b"] {
            let put = json!({"Name": name, "Value": name, "Type": "String"});
            world.call("PutParameter", put).await;
            let arn = format!(
                "arn:aws:ssm:us-east-1:000000000000:parameter/{}",
                name.trim_start_matches('/')
            );
            let answer = world.call("GetParameter", json!({"Name": arn})).await;
            assert_eq!(answer["Parameter"]["Name"], name);
        }
    }
}
