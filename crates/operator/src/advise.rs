//! `outport iam advise`: the policy that a role or a user needs for what it did, read from the audit trail.
//!
//! **Invariant:** nothing is allowed by the policy that was not asked for, but for what is new each time: ids of tasks, revisions and log
//! streams stand as `*`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::moment::{Since, clock, now_ms};
use crate::value::{list, text};

/// Pages of the trail that are read, at most.
const PAGES_MAX: usize = 20_000;

/// Whose policy it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advised {
    /// A role, by its name: what its sessions did.
    Role(String),
    /// A user, by its name.
    User(String),
}

/// A policy, and what it was made of.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    pub principal: String,
    /// Milliseconds since 1970.
    pub since_ms: i64,
    /// Calls of it that the trail has.
    pub calls: usize,
    /// `None`: it asked for nothing.
    pub policy: Option<Value>,
    /// What of it was denied.
    pub denied: Vec<Need>,
    /// Whether the trail was too long to be read whole: older calls are left out.
    pub is_cut_short: bool,
}

/// Something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Need {
    pub action: String,
    pub resource: String,
}

/// Reads the trail and makes a policy of it.
///
/// # Errors
/// When the API cannot be asked, or refuses; when the trail knows no call of this principal.
pub async fn advise(api: &Api, of: &Advised, since: Since) -> Result<Advice> {
    let since_ms = since.begin_ms(now_ms());
    let mut input = json!({ "StartTime": since_ms / 1000 });
    if let Advised::User(name) = of {
        input["LookupAttributes"] = json!([{ "AttributeKey": "Username", "AttributeValue": name }]);
    }
    let mut needs = Needs::default();
    let mut is_cut_short = true;
    for _ in 0..PAGES_MAX {
        let page = api.cloudtrail("LookupEvents", input.clone()).await?;
        for event in list(&page, "Events") {
            if let Ok(event) = serde_json::from_str::<Value>(text(event, "CloudTrailEvent")) {
                needs.add(of, &event);
            }
        }
        match page["NextToken"].as_str() {
            Some(token) => input["NextToken"] = token.into(),
            None => {
                is_cut_short = false;
                break;
            }
        }
    }
    let principal = of.to_string();
    if needs.calls == 0 {
        bail!(
            "the audit trail has no call of {principal} since {} UTC: `outport iam advise --since 30d` looks further back, as far as \
             it goes",
            clock(since_ms)
        );
    }
    let Needs { calls, all, denied } = needs;
    Ok(Advice {
        principal,
        since_ms,
        calls,
        policy: policy(&all),
        denied: denied.into_iter().collect(),
        is_cut_short,
    })
}

impl std::fmt::Display for Advised {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(name) => write!(formatter, "role {name}"),
            Self::User(name) => write!(formatter, "user {name}"),
        }
    }
}

impl Advised {
    /// Whether an event is one of it. The trail knows a session's role by who issued the session.
    fn did(&self, event: &Value) -> bool {
        let identity = &event["userIdentity"];
        match self {
            Self::Role(name) => {
                let issuer = &identity["sessionContext"]["sessionIssuer"];
                issuer["type"] == "Role" && issuer["userName"] == name.as_str()
            }
            Self::User(name) => {
                identity["type"] == "IAMUser" && identity["userName"] == name.as_str()
            }
        }
    }
}

/// What follows from an action, and stands in no trail: events of logs are too many for it, and layers are not asked for where they are
/// already.
const UNTOLD: [(&str, &str); 3] = [
    ("logs:CreateLogStream", "logs:PutLogEvents"),
    ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
    ("ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability"),
];

impl Need {
    fn untold(&self) -> impl Iterator<Item = Self> + '_ {
        let follows = UNTOLD.iter().filter(|(action, _)| *action == self.action);
        follows
            .map(|(_, more)| Self { action: (*more).to_owned(), resource: self.resource.clone() })
    }
}

#[derive(Debug, Default)]
struct Needs {
    calls: usize,
    all: BTreeSet<Need>,
    denied: BTreeSet<Need>,
}

impl Needs {
    fn add(&mut self, of: &Advised, event: &Value) {
        if !of.did(event) {
            return;
        }
        self.calls += 1;
        for asked in list(&event["additionalEventData"], "authorization") {
            let need = Need {
                action: text(asked, "action").to_owned(),
                resource: lasting(text(asked, "resource")),
            };
            if text(asked, "decision") == "Deny" {
                self.denied.insert(need.clone());
            }
            self.all.extend(need.untold());
            self.all.insert(need);
        }
    }
}

/// The document: a statement for each set of resources of a service, with all actions on just those.
fn policy(needs: &BTreeSet<Need>) -> Option<Value> {
    let mut resources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Need { action, resource } in needs {
        resources.entry(action).or_default().insert(resource);
    }
    let mut statements: BTreeMap<(&str, BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for (action, mut of_action) in resources {
        if of_action.contains("*") {
            of_action = BTreeSet::from(["*"]);
        }
        let service = action.split(':').next().unwrap_or_default();
        statements.entry((service, of_action)).or_default().push(action);
    }
    if statements.is_empty() {
        return None;
    }
    let statement = |((_, resources), actions): ((&str, BTreeSet<&str>), Vec<&str>)| json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
    let statements: Vec<Value> = statements.into_iter().map(statement).collect();
    Some(json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// A resource without what is another one the next time.
fn lasting(resource: &str) -> String {
    let mut parts: Vec<&str> = resource.splitn(6, ':').collect();
    let [_, _, service, _, _, rest] = parts.as_slice() else { return resource.to_owned() };
    let until_last = |separator: char, rest: &str| {
        rest.rsplit_once(separator).map(|(begin, _)| format!("{begin}{separator}*"))
    };
    let lasting = match *service {
        "ecs" if rest.starts_with("task-definition/") => until_last(':', rest),
        "ecs" if rest.starts_with("task/") || rest.starts_with("container-instance/") => {
            until_last('/', rest)
        }
        "logs" => rest.split_once(":log-stream:").map(|(group, _)| format!("{group}:log-stream:*")),
        _ => None,
    };
    let Some(lasting) = lasting else { return resource.to_owned() };
    parts[5] = &lasting;
    parts.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(identity: Value, asked: &[(&str, &str, &str)]) -> Value {
        let answer = |(action, resource, decision): &(&str, &str, &str)| json!({ "action": action, "resource": resource, "decision": decision });
        let authorization: Vec<Value> = asked.iter().map(answer).collect();
        json!({
            "userIdentity": identity,
            "additionalEventData": { "authorization": authorization },
        })
    }

    fn role(name: &str) -> Value {
        json!({"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"type": "Role", "userName": name}}})
    }

    const CLUSTER: &str = "arn:aws:ecs:us-east-1:000000000000:cluster/a";

    #[test]
    fn the_policy_is_of_what_was_asked_for() {
        let mut needs = Needs::default();
        let app = Advised::Role("app".to_owned());
        needs.add(&app, &event(role("other"), &[("ecs:DeleteCluster", CLUSTER, "Allow")]));
        needs.add(&app, &event(role("app"), &[("ecs:ListClusters", "*", "Allow")]));
        needs.add(&app, &event(role("app"), &[("ecs:UpdateCluster", CLUSTER, "Deny")]));
        needs.add(&app, &event(role("app"), &[("ecs:DescribeClusters", CLUSTER, "Allow")]));
        let task = "arn:aws:iam::000000000000:role/task";
        needs.add(
            &app,
            &event(
                role("app"),
                &[
                    (
                        "ecs:RunTask",
                        "arn:aws:ecs:us-east-1:000000000000:task-definition/a:7",
                        "Allow",
                    ),
                    ("iam:PassRole", task, "Deny"),
                ],
            ),
        );
        assert_eq!(needs.calls, 4);
        let denied: Vec<&str> = needs.denied.iter().map(|need| need.action.as_str()).collect();
        assert_eq!(denied, ["ecs:UpdateCluster", "iam:PassRole"]);
        let expected = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["ecs:ListClusters"], "Resource": ["*"]},
            {"Effect": "Allow", "Action": ["ecs:DescribeClusters", "ecs:UpdateCluster"], "Resource": [CLUSTER]},
            {"Effect": "Allow", "Action": ["ecs:RunTask"],
                "Resource": ["arn:aws:ecs:us-east-1:000000000000:task-definition/a:*"]},
            {"Effect": "Allow", "Action": ["iam:PassRole"], "Resource": [task]},
        ]});
        assert_eq!(policy(&needs.all), Some(expected));
        assert_eq!(policy(&BTreeSet::new()), None);
    }

    #[test]
    fn what_the_trail_leaves_out_is_needed_too() {
        let stream = "arn:aws:logs:us-east-1:000000000000:log-group:/a:log-stream:app/1";
        let repository = "arn:aws:ecr:us-east-1:000000000000:repository/app";
        let asked =
            [("logs:CreateLogStream", stream, "Allow"), ("ecr:BatchGetImage", repository, "Allow")];
        let mut needs = Needs::default();
        needs.add(&Advised::Role("app".to_owned()), &event(role("app"), &asked));
        let expected = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow",
                "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                "Resource": [repository]},
            {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": ["arn:aws:logs:us-east-1:000000000000:log-group:/a:log-stream:*"]},
        ]});
        assert_eq!(policy(&needs.all), Some(expected));
    }

    #[test]
    fn a_user_is_no_role_of_its_name() {
        let user = Advised::User("app".to_owned());
        let ann = json!({"type": "IAMUser", "userName": "app"});
        assert!(user.did(&event(ann.clone(), &[])));
        assert!(!user.did(&event(role("app"), &[])));
        assert!(!Advised::Role("app".to_owned()).did(&event(ann, &[])));
    }

    #[test]
    fn what_is_another_one_the_next_time_is_any() {
        let check = |resource: &str, expected: &str| assert_eq!(lasting(resource), expected);
        let begin = "arn:aws:ecs:us-east-1:000000000000";
        check(&format!("{begin}:task/a/0123"), &format!("{begin}:task/a/*"));
        check(
            &format!("{begin}:container-instance/a/0123"),
            &format!("{begin}:container-instance/a/*"),
        );
        check(
            &format!("{begin}:task-definition/web:12"),
            &format!("{begin}:task-definition/web:*"),
        );
        check(&format!("{begin}:service/a/web"), &format!("{begin}:service/a/web"));
        check(
            "arn:aws:logs:us-east-1:000000000000:log-group:/a:log-stream:b/c/d",
            "arn:aws:logs:us-east-1:000000000000:log-group:/a:log-stream:*",
        );
        check("*", "*");
    }
}
