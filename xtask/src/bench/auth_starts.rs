//! The part of `cargo xtask bench auth` that starts tasks: what a task role, an execution role, two secrets and awslogs add to
//! the time from a signed RunTask to the first byte that the app writes, in turn with the same task without.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Setting;
use super::auth::{query, text_of};
use super::figures::Figures;
use super::launch::{APP, launch};
use super::report::{Figure, Report};
use crate::process::Scratch;
use crate::subject::Subject;
use crate::{interrupt, setup};

/// Of the tasks without; [`launch`] knows by the name that they have a network of their own.
const PLAIN: &str = "awsvpc";
const WITH_ROLES: &str = "awsvpc-with-roles";
const LOG_GROUP: &str = "/bench";
const SECRETS: [&str; 2] = ["FIRST", "SECOND"];

pub fn measure(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    setup::require_root()?;
    setup::install_packages(&setup::BENCH_PROGRAMS)?;
    let (binary, scratch) = (setting.binary()?, Scratch::new("bench-auth-starts")?);
    let image = setup::build_image(setting.repository, scratch.path())?;
    let (mut outport, _) = Subject::start(&binary, &scratch.path().join("data"))?;
    outport.ready()?;
    let image = outport.push(&image, "1.0")?;
    let subnet = outport.subnet()?;
    register(&mut outport, PLAIN, &image, json!({}), json!({}))?;
    let (of_task, of_container) = with_roles(&mut outport)?;
    register(&mut outport, WITH_ROLES, &image, of_task, of_container)?;

    let families = [PLAIN, WITH_ROLES];
    for family in families {
        launch(&mut outport, family, &subnet, 1)?;
    }
    let mut figures: [Figures; 2] = Default::default();
    for _ in 0..if setting.quick { 3 } else { 60 } {
        interrupt::check()?;
        for (family, figures) in families.iter().zip(&mut figures) {
            figures.add(launch(&mut outport, family, &subnet, 1)?);
        }
    }
    outport.stop()?;
    let [plain, with] = figures.map(|figures| figures.percentile_ms(50));
    report.add(Figure::new("RunTask to first byte, without roles", plain, "ms"));
    report.add(
        Figure::new("the same more, with roles and awslogs", with - plain, "ms")
            .of("secrets", SECRETS.len())
            .at_most(10.0),
    );
    Ok(())
}

/// `of_task`, `of_container`: more members of the definition.
fn register(
    outport: &mut Subject,
    family: &str,
    image: &str,
    of_task: Value,
    of_container: Value,
) -> Result<()> {
    let mut container = json!({ "name": "app", "image": image, "memory": 64, "command": APP });
    let mut definition = json!({ "family": family, "networkMode": "awsvpc" });
    for (to, more) in [(&mut container, of_container), (&mut definition, of_task)] {
        for (name, value) in more.as_object().into_iter().flatten() {
            to[name] = value.clone();
        }
    }
    definition["containerDefinitions"] = json!([container]);
    outport.ecs("RegisterTaskDefinition", &definition).map(drop)
}

/// Makes roles, secrets and a log group; what a definition says of them.
fn with_roles(outport: &mut Subject) -> Result<(Value, Value)> {
    let statement = json!({
        "Effect": "Allow", "Resource": "*",
        "Action": ["ecr:*", "logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"],
    });
    let execution_role = role(outport, "bench-execution", &statement)?;
    let task_role = role(outport, "bench-task", &statement)?;
    outport.logs("CreateLogGroup", &json!({ "logGroupName": LOG_GROUP }))?;
    let mut secrets = Vec::new();
    for name in SECRETS {
        let input = json!({ "Name": name, "SecretString": "bench", "ClientRequestToken": format!("{name:0>36}") });
        let made = outport.secretsmanager("CreateSecret", &input)?;
        secrets.push(json!({ "name": name, "valueFrom": made["ARN"] }));
    }
    let logs = json!({
        "logDriver": "awslogs",
        "options": { "awslogs-group": LOG_GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "bench" },
    });
    Ok((
        json!({ "executionRoleArn": execution_role, "taskRoleArn": task_role }),
        json!({ "secrets": secrets, "logConfiguration": logs }),
    ))
}

/// A role for tasks that may do one thing; its ARN.
fn role(outport: &mut Subject, name: &str, statement: &Value) -> Result<String> {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "ecs-tasks.amazonaws.com" } }] });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    let (trust, policy) = (trust.to_string(), policy.to_string());
    let made = [
        ("Action", "CreateRole"),
        ("RoleName", name),
        ("AssumeRolePolicyDocument", trust.as_str()),
    ];
    let arn = text_of(&query(outport, "iam", &made)?, "Arn").context("a role has an ARN")?;
    let put = [
        ("Action", "PutRolePolicy"),
        ("RoleName", name),
        ("PolicyName", "bench"),
        ("PolicyDocument", policy.as_str()),
    ];
    query(outport, "iam", &put)?;
    Ok(arn)
}
