//! Inputs for another account, region and registry.
//!
//! **Invariant:** pure. Only what names the account, the region or the registry as such is changed: roles, secrets, images
//! the region of logs, and what policies of repositories name. An ARN in a container's environment is the application's, and may well stay where it is.

use serde_json::Value;

use super::inputs::Place;

/// Members that hold an ARN of the account.
const ARNS: [&str; 4] = ["taskRoleArn", "executionRoleArn", "valueFrom", "credentialsParameter"];

/// Changes an input of `from` to one of `to`.
pub fn moved(value: &mut Value, from: &Place, to: &Place) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| moved(item, from, to)),
        Value::Object(members) => {
            for (member, value) in members {
                match value {
                    Value::String(text) => {
                        if let Some(changed) = changed(member, text, from, to) {
                            *text = changed;
                        }
                    }
                    value => moved(value, from, to),
                }
            }
        }
        _ => {}
    }
}

fn changed(member: &str, text: &str, from: &Place, to: &Place) -> Option<String> {
    match member {
        "awslogs-region" => (text == from.region).then(|| to.region.clone()),
        "image" => {
            let rest = text.strip_prefix(&from.registry())?.strip_prefix('/')?;
            Some(format!("{}/{rest}", to.registry()))
        }
        "policyText" => {
            // In principals the account stands alone, too.
            let region = |of: &str| format!(":{of}:{}:", to.account);
            let moved = text.replace(&from.account, &to.account);
            Some(moved.replace(&region(&from.region), &region(&to.region)))
        }
        member if ARNS.contains(&member) => {
            let mut parts: Vec<&str> = text.splitn(6, ':').collect();
            if parts.len() != 6 || parts[0] != "arn" || parts[4] != from.account {
                return None;
            }
            parts[4] = &to.account;
            if parts[3] == from.region {
                parts[3] = &to.region;
            }
            Some(parts.join(":"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_names_the_account_the_region_or_the_registry_is_changed_and_nothing_else() {
        let place = |account: &str, region: &str| Place {
            account: account.to_owned(),
            region: region.to_owned(),
            registries: Vec::new(),
        };
        let (from, to) = (place("111111111111", "eu-west-1"), place("000000000000", "us-east-1"));
        let mut input = json!({
            "executionRoleArn": "arn:aws:iam::111111111111:role/x",
            "taskRoleArn": "arn:aws:iam::222222222222:role/x",
            "containerDefinitions": [{
                "image": "111111111111.dkr.ecr.eu-west-1.amazonaws.com/app:1",
                "environment": [{ "name": "Q", "value": "arn:aws:sqs:eu-west-1:111111111111:q" }],
                "secrets": [{ "valueFrom": "arn:aws:ssm:eu-west-1:111111111111:parameter/p" }],
                "logConfiguration": { "options": { "awslogs-region": "eu-west-1" } },
            }, { "image": "nginx" }],
        });
        moved(&mut input, &from, &to);
        let expected = json!({
            "executionRoleArn": "arn:aws:iam::000000000000:role/x",
            "taskRoleArn": "arn:aws:iam::222222222222:role/x",
            "containerDefinitions": [{
                "image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1",
                "environment": [{ "name": "Q", "value": "arn:aws:sqs:eu-west-1:111111111111:q" }],
                "secrets": [{ "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/p" }],
                "logConfiguration": { "options": { "awslogs-region": "us-east-1" } },
            }, { "image": "nginx" }],
        });
        assert_eq!(input, expected);
    }
}
