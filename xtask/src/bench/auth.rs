//! `cargo xtask bench auth`: what policies cost. The processor time that a signed call of a user with ten policies of twenty
//! statements takes more than the same call of the account's root, in turn in the same run; and the memory of a thousand
//! roles with ten policies each, all of them compiled. And what roles and secrets add to the start of a task: `auth_starts`.

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Setting;
use super::auth_starts;
use super::figures::Figures;
use super::load::{self, Until};
use super::report::{Figure, Report};
use super::server::Server;
use crate::client::{Client, Key};
use crate::interrupt;
use crate::process::Scratch;

const CONNECTIONS: usize = 4;
const POLICIES: usize = 10;
const STATEMENTS: usize = 20;

struct Size {
    rounds: usize,
    calls: usize,
    roles: usize,
}

impl Size {
    fn new(quick: bool) -> Self {
        match quick {
            true => Self { rounds: 1, calls: 500, roles: 10 },
            false => Self { rounds: 7, calls: 20_000, roles: 1_000 },
        }
    }
}

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let size = Size::new(setting.quick);
    let binary = setting.binary()?;
    let scratch = Scratch::new("bench-auth")?;
    let (mut server, _) = Server::start(&binary, &scratch.path().join("data"))?;
    let mut report = Report::default();
    let user = user(&mut server)?;
    calls(&mut server, user.clone(), &size, &mut report)?;
    roles(&mut server, user, &size, &mut report)?;
    server.stop()?;
    auth_starts::measure(setting, &mut report)?;
    Ok(report.into_figures())
}

/// A user with its policies; only the last statement of the last one is about what it will call.
fn user(server: &mut Server) -> Result<Key> {
    query(server, "iam", &[("Action", "CreateUser"), ("UserName", "bench")])?;
    for number in 0..POLICIES {
        let name = format!("policy-{number}");
        let document = document(number + 1 == POLICIES);
        let made = [
            ("Action", "CreatePolicy"),
            ("PolicyName", name.as_str()),
            ("PolicyDocument", document.as_str()),
        ];
        let arn = text_of(&query(server, "iam", &made)?, "Arn")?;
        let attach = [("Action", "AttachUserPolicy"), ("UserName", "bench"), ("PolicyArn", &arn)];
        query(server, "iam", &attach)?;
    }
    let answer = query(server, "iam", &[("Action", "CreateAccessKey"), ("UserName", "bench")])?;
    Key::of_answer(&answer)
}

/// Statements as people write them, each with a resource and a condition.
fn document(allows_the_call: bool) -> String {
    let statement = |number: usize| {
        if allows_the_call && number + 1 == STATEMENTS {
            return json!({ "Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*" });
        }
        json!({
            "Sid": format!("S{number}"), "Effect": "Allow",
            "Action": ["ecs:Describe*", format!("ecs:UpdateService{number}")],
            "Resource": format!("arn:aws:ecs:*:*:service/team-{number}/*"),
            "Condition": { "StringEquals": { "aws:ResourceTag/team": format!("team-{number}") } },
        })
    };
    let statements: Vec<_> = (0..STATEMENTS).map(statement).collect();
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// Root and user in turn.
fn calls(server: &mut Server, user: Key, size: &Size, report: &mut Report) -> Result<()> {
    let (mut of_root, mut of_user) = (Figures::default(), Figures::default());
    for _ in 0..size.rounds {
        interrupt::check()?;
        for (key, figures) in [(Key::root(), &mut of_root), (user.clone(), &mut of_user)] {
            let client = Client::with_key(server.address(), key);
            let request = client.sign_ecs("ListClusters", &json!({}))?;
            let before = server.processor_time()?;
            let until = Until::Count(size.calls);
            load::run(server.address(), &[request], CONNECTIONS, until)?;
            let calls = u32::try_from(size.calls).context("a small number")?;
            figures.add((server.processor_time()? - before) / calls);
        }
    }
    let us = |figures: &Figures| figures.percentile_ms(50) * 1000.0;
    report.add(Figure::new("processor time of a signed call of root", us(&of_root), "µs"));
    report.add(
        Figure::new("the same more, of a user", us(&of_user) - us(&of_root), "µs")
            .of("policies", POLICIES)
            .of("statements", POLICIES * STATEMENTS)
            .at_most(25.0),
    );
    Ok(())
}

/// Each role is assumed and calls once, so that its policies are compiled.
fn roles(server: &mut Server, user: Key, size: &Size, report: &mut Report) -> Result<()> {
    let before = server.resident_mib()?;
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": { "AWS": "arn:aws:iam::000000000000:user/bench" },
        }],
    });
    let trust = trust.to_string();
    let inline = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*" },
            { "Effect": "Allow", "Action": ["ecs:RunTask", "ecs:StopTask"], "Resource": "arn:aws:ecs:*:*:task/a/*" },
        ],
    });
    let inline = inline.to_string();
    let mut assuming = Client::with_key(server.address(), user);
    for number in 0..size.roles {
        interrupt::check()?;
        let name = format!("role-{number}");
        let role = [
            ("Action", "CreateRole"),
            ("RoleName", name.as_str()),
            ("AssumeRolePolicyDocument", trust.as_str()),
        ];
        let arn = text_of(&query(server, "iam", &role)?, "Arn")?;
        for policy in 0..POLICIES {
            let policy = format!("policy-{policy}");
            let put = [
                ("Action", "PutRolePolicy"),
                ("RoleName", name.as_str()),
                ("PolicyName", policy.as_str()),
                ("PolicyDocument", inline.as_str()),
            ];
            query(server, "iam", &put)?;
        }
        let assume =
            [("Action", "AssumeRole"), ("RoleArn", arn.as_str()), ("RoleSessionName", "bench")];
        let session = Key::of_answer(&query(&mut assuming, "sts", &assume)?)?;
        Client::with_key(server.address(), session).ecs("ListClusters", &json!({}))?;
    }
    report.add(
        Figure::new("memory of roles and their policies", server.resident_mib()? - before, "MiB")
            .of("roles", size.roles)
            .of("policies", size.roles * POLICIES)
            .at_most(64.0),
    );
    Ok(())
}

pub(super) fn query(client: &mut Client, service: &str, input: &[(&str, &str)]) -> Result<String> {
    let version = if service == "sts" { "2011-06-15" } else { "2010-05-08" };
    let mut form = form_urlencoded::Serializer::new(String::new());
    let body = form.append_pair("Version", version).extend_pairs(input).finish();
    let header = ("content-type", "application/x-www-form-urlencoded");
    let (status, answer) = client.signed(service, &[header], body.as_bytes())?;
    if status != 200 {
        bail!("{service} {}: {status} {answer}", input[0].1);
    }
    Ok(answer)
}

/// The text of the first element with a name.
pub(super) fn text_of(answer: &str, name: &str) -> Result<String> {
    crate::client::text_of(answer, name).with_context(|| format!("no {name} in {answer}"))
}
