//! ARNs of CloudWatch Logs. Source: "Actions, resources, and condition keys for Amazon CloudWatch
//! Logs" in the Service Authorization Reference.

use outport_log_store::{LogGroupName, LogStreamName};
use outport_model::Scope;

/// `arn:aws:logs:<region>:<account>:log-group:<name>`
pub(crate) fn group_arn(scope: &Scope, group: &LogGroupName) -> String {
    format!("{}{group}", groups_prefix(scope))
}

/// What CloudWatch Logs asks IAM about for actions on a stream, and with an empty stream name for
/// actions on a group, so that a policy on `log-group:<name>:*` is for both.
pub(crate) fn stream_resource(scope: &Scope, group: &str, stream: &str) -> String {
    format!("{}{group}:log-stream:{stream}", groups_prefix(scope))
}

pub(crate) fn stream_arn(scope: &Scope, group: &LogGroupName, stream: &LogStreamName) -> String {
    stream_resource(scope, group.as_str(), stream.as_str())
}

/// The group's name in its ARN. `None` for anything else and for groups of other accounts and
/// regions.
pub(crate) fn group_in_arn<'a>(scope: &Scope, arn: &'a str) -> Option<&'a str> {
    arn.strip_prefix(&groups_prefix(scope))
}

fn groups_prefix(scope: &Scope) -> String {
    format!("arn:aws:logs:{}:{}:log-group:", scope.region, scope.account)
}
