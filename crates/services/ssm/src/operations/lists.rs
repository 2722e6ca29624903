//! Lists: below a path, by filters, and the versions of one parameter.

use std::sync::Arc;

use outport_aws_ssm::{
    DescribeParametersRequest, DescribeParametersResult, GetParameterHistoryRequest,
    GetParameterHistoryResult, GetParametersByPathRequest, GetParametersByPathResult,
};
use outport_identity::{Call, Question, Subject};
use outport_model::parameter::{Parameter, ParameterVersion};
use outport_model::{Arn, Scope};
use outport_store::Tables;

use crate::filter::{Filters, Of, check_path, is_below};
use crate::look::{look, there, version_of};
use crate::names::{Reference, refuse_public, scope};
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{SsmService, keys, view};

/// Source: the model's GetParametersByPathMaxResults and MaxResults.
const BY_PATH_MAX: usize = 10;
const ITEMS_MAX: usize = 50;

type Shown = (Arc<Parameter>, Arc<ParameterVersion>);

/// The parameters whose names begin with `prefix`, with their newest versions, by name.
fn newest<'a>(
    tables: &'a Tables,
    scope: &'a Scope,
    prefix: &'a str,
) -> impl Iterator<Item = Shown> + 'a {
    tables.parameters.beginning(scope, prefix).filter_map(|parameter| {
        let version = version_of(tables, parameter, parameter.latest)?;
        Some((Arc::clone(parameter), Arc::clone(version)))
    })
}

/// Asked about the path, as the API reference of GetParametersByPath says: who may read a path reads all that is below it.
pub async fn get_parameters_by_path(
    service: &SsmService,
    call: &Call,
    input: GetParametersByPathRequest,
) -> Result<GetParametersByPathResult, Rejection> {
    let path = parse_path(input.path)?;
    let filters = Filters::parse(input.parameter_filters, Of::ByPath)?;
    let page = PageRequest::parse(input.max_results, BY_PATH_MAX, input.next_token.as_deref())?;
    let is_recursive = input.recursive.unwrap_or(false);
    let is_decrypted = input.with_decryption.unwrap_or(false);
    let scope = scope(call);
    let arn = Arn::parameter(&scope, &path).into_string();
    let question =
        Question::new("ssm:GetParametersByPath", arn).with("ssm:Recursive", is_recursive);
    let (tables, ()) = service.store.read(call, |_| Subject::from(question))?;
    let prefix = path.trim_end_matches('/');
    let found = newest(&tables, &scope, prefix)
        .filter(|(parameter, _)| is_below(&parameter.name, &path, is_recursive))
        .filter(|(parameter, version)| filters.match_parameter(parameter, version))
        .map(|shown| (shown.0.name.clone(), shown));
    let page = page.take(found);
    if is_decrypted {
        keys::authorize(call, &tables, page.items.iter().map(|(_, version)| &**version))?;
    }
    let views = page.items.iter().map(|(parameter, version)| {
        view::parameter((service, &*tables), parameter, version, None, is_decrypted)
    });
    Ok(GetParametersByPathResult {
        parameters: Some(views.collect::<Result<_, _>>()?),
        next_token: page.next_token,
    })
}

fn parse_path(path: Option<String>) -> Result<String, Rejection> {
    let path = path.unwrap_or_default();
    refuse_public(&format!("{}/", path.trim_end_matches('/')))?;
    check_path(&path)?;
    Ok(path)
}

pub async fn describe_parameters(
    service: &SsmService,
    call: &Call,
    input: DescribeParametersRequest,
) -> Result<DescribeParametersResult, Rejection> {
    if input.shared == Some(true) {
        return Err(Rejection::not_built("A parameter of another account (Shared)"));
    }
    if input.filters.is_some() && input.parameter_filters.is_some() {
        return Err(Rejection::validation(
            "You can use either Filters or ParameterFilters in a single request.",
        ));
    }
    let filters = Filters::parse(input.parameter_filters, Of::Describe)?;
    let filters = filters.and(Filters::parse_old(input.filters));
    let page = PageRequest::parse(input.max_results, ITEMS_MAX, input.next_token.as_deref())?;
    let question = Question::without_resource("ssm:DescribeParameters");
    let (tables, ()) = service.store.read(call, |_| Subject::from(question))?;
    let scope = scope(call);
    let found = newest(&tables, &scope, "")
        .filter(|(parameter, version)| filters.match_parameter(parameter, version))
        .map(|shown| (shown.0.name.clone(), shown));
    let page = page.take(found);
    let views = page.items.iter().map(|(parameter, version)| view::metadata(parameter, version));
    Ok(DescribeParametersResult { parameters: Some(views.collect()), next_token: page.next_token })
}

/// The oldest version first.
pub async fn get_parameter_history(
    service: &SsmService,
    call: &Call,
    input: GetParameterHistoryRequest,
) -> Result<GetParameterHistoryResult, Rejection> {
    let scope = scope(call);
    let reference = Reference::parse(&scope, &input.name.unwrap_or_default())?;
    let page = PageRequest::parse(input.max_results, ITEMS_MAX, input.next_token.as_deref())?;
    let is_decrypted = input.with_decryption.unwrap_or(false);
    let (tables, found) = service
        .store
        .read(call, |tables| look(tables, &scope, &reference, "ssm:GetParameterHistory"))?;
    let parameter = there(found)?;
    let versions = tables.parameter_versions.of(&parameter);
    let page = page.take(versions.map(|version| (format!("{:020}", version.version), version)));
    if is_decrypted {
        keys::authorize(call, &tables, page.items.iter().map(|version| &***version))?;
    }
    let with = (service, &*tables);
    let views =
        page.items.iter().map(|version| view::history(with, &parameter, version, is_decrypted));
    Ok(GetParameterHistoryResult {
        parameters: Some(views.collect::<Result<_, _>>()?),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{CLEAR, World};

    async fn world() -> World {
        let world = World::full().await;
        for (name, kind) in
            [("/prod/web/port", "String"), ("/prod/web", "StringList"), ("bare", "String")]
        {
            world.call("PutParameter", json!({"Name": name, "Value": "v", "Type": kind})).await;
        }
        world
    }

    fn names(answer: &Value) -> Vec<&str> {
        let parameters = answer["Parameters"].as_array().unwrap();
        parameters.iter().map(|parameter| parameter["Name"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_path_shows_what_is_below_it() {
        let world = world().await;
        let get = async |input: Value| {
            let answer = world.call("GetParametersByPath", input).await;
            (names(&answer).join(" "), answer["NextToken"].clone())
        };
        assert_eq!(get(json!({"Path": "/prod"})).await.0, "/prod/db /prod/web");
        let all = json!({"Path": "/prod/", "Recursive": true});
        assert_eq!(get(all).await.0, "/prod/db /prod/web /prod/web/port");
        assert_eq!(get(json!({"Path": "/"})).await.0, "bare");
        let (first, token) = get(json!({"Path": "/prod", "MaxResults": 1})).await;
        assert_eq!(first, "/prod/db");
        assert_eq!(get(json!({"Path": "/prod", "NextToken": token})).await.0, "/prod/web");
        let filter = |key: &str, value: &str| json!({"Path": "/prod", "ParameterFilters": [{"Key": key, "Values": [value]}]});
        assert_eq!(get(filter("Type", "SecureString")).await.0, "/prod/db");
        let (status, answer) = world.reply("GetParametersByPath", &filter("Name", "x")).await;
        assert_eq!((status, crate::testing::code(&answer)), (400, "InvalidFilterKey"));
        assert_eq!(world.reply("GetParametersByPath", &json!({"Path": "prod"})).await.0, 400);
        assert_eq!(
            world.reply("GetParametersByPath", &json!({"Path": "/aws/service"})).await.1["__type"],
            "NotImplemented"
        );
    }

    #[tokio::test]
    async fn filters_choose_what_is_described() {
        let world = world().await;
        for (key, option, value, expected) in [
            ("Name", "Equals", "prod/db", "/prod/db"),
            ("Name", "BeginsWith", "/prod/w", "/prod/web /prod/web/port"),
            ("Name", "Contains", "are", "bare"),
            ("Path", "OneLevel", "/prod", "/prod/db /prod/web"),
            ("Path", "Recursive", "/prod/web", "/prod/web/port"),
            ("Type", "Equals", "StringList", "/prod/web"),
            ("KeyId", "BeginsWith", "alias/", "/prod/db"),
            ("Tier", "Equals", "Advanced", ""),
            ("tag:team", "Equals", "red", "/prod/db"),
        ] {
            let filter = json!([{"Key": key, "Option": option, "Values": [value]}]);
            let answer =
                world.call("DescribeParameters", json!({"ParameterFilters": filter})).await;
            assert_eq!(names(&answer).join(" "), expected, "{key} {option} {value}");
            assert!(!answer.to_string().contains("\"Value\""), "{answer}");
        }
        let old = json!({"Filters": [{"Key": "Name", "Values": ["bare"]}]});
        assert_eq!(names(&world.call("DescribeParameters", old).await), ["bare"]);
    }

    #[tokio::test]
    async fn a_history_has_every_version_with_its_labels() {
        let world = World::full().await;
        let get = json!({"Name": "/prod/db", "WithDecryption": true});
        let answer = world.call("GetParameterHistory", get).await;
        let versions = answer["Parameters"].as_array().unwrap();
        let shown: Vec<_> = versions.iter().map(|one| (&one["Value"], &one["Labels"])).collect();
        assert_eq!(shown, [(&json!(CLEAR), &json!(["live"])), (&json!("second"), &json!([]))]);
        assert_eq!(versions[0]["LastModifiedUser"], "arn:aws:iam::000000000000:root");
    }
}
