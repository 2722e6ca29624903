//! The questions of permission of operations, with the condition keys of their actions. Those that come with a resource
//! are in [`crate::resource`].
//!
//! Source of actions, resources and condition keys: "Actions, resources, and condition keys for Amazon Elastic Container
//! Service" in the Service Authorization Reference.

use outport_aws_ecs as wire;
use outport_identity::{Call, Question, Subject};
use outport_model::{AccountId, Arn, ClusterName, Scope, Tags};
use outport_store::Tables;

use crate::launch::Definition;
use crate::names::BelowService;
use crate::resource::Resource;

/// The service that a role is handed to when a task definition names it.
const TASKS_SERVICE: &str = "ecs-tasks.amazonaws.com";

/// The account and region that a call is about.
pub fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

/// For an action that knows no resource and yet a cluster.
pub fn in_cluster(question: Question, scope: &Scope, cluster: &ClusterName) -> Question {
    question.with("ecs:cluster", Arn::cluster(scope, cluster).to_string())
}

/// For an action on a deployment or revision of a service: AWS asks about both.
pub fn below_service(
    tables: &Tables,
    scope: &Scope,
    action: &'static str,
    kind: &str,
    named: &[BelowService],
) -> Subject<()> {
    let both = |one: &BelowService| {
        let service = Resource::service(scope, &one.cluster, &one.service);
        let BelowService { cluster, service: name, id } = one;
        let own = Arn::of("ecs", scope, format!("{kind}/{cluster}/{name}/{id}"));
        let own = Question::new(action, own.to_string());
        let own = in_cluster(own, scope, cluster).with("ecs:service", service.arn().to_string());
        [service.question(tables, action), own]
    };
    let every = Question::new(action, Arn::of("ecs", scope, format!("{kind}/*")).to_string());
    Subject::about((), named.iter().flat_map(both).collect(), every)
}

/// What a new or a changed service asks of the network.
pub fn of_network(question: Question, network: Option<&wire::NetworkConfiguration>) -> Question {
    let awsvpc = network.and_then(|network| network.awsvpc_configuration.as_ref());
    let assigns = awsvpc.and_then(|awsvpc| awsvpc.assign_public_ip);
    question
        .with_optional("ecs:subnet", awsvpc.and_then(|awsvpc| awsvpc.subnets.clone()))
        .with_optional(
            "ecs:auto-assign-public-ip",
            assigns.map(|assigns| assigns == wire::AssignPublicIp::Enabled),
        )
}

/// What a service runs from now on.
pub fn of_task_definition(question: Question, definition: Option<&Definition>) -> Question {
    let Some(Definition { row, workload }) = definition else { return question };
    let arn = Arn::task_definition(&row.scope, &row.family, row.revision);
    question
        .with("ecs:task-definition", arn.to_string())
        .with_optional("ecs:task-cpu", workload.cpu_units.map(i64::from))
        .with_optional("ecs:task-memory", workload.memory_mib.map(i64::from))
}

/// Whether the caller may put tags on what it creates by `action` (`RunTask`); `None` without tags. `resource` is the ARN
/// that the new thing will have, with `*` for what is not known yet.
pub fn tag_on_create(action: &str, resource: &Arn, tags: &Tags) -> Option<Question> {
    let question = Question::new("ecs:TagResource", resource.to_string())
        .with("ecs:CreateAction", action)
        .with_request_tags(tags);
    (!tags.is_empty()).then_some(question)
}

/// Whether the caller may hand `role` to the tasks that it describes.
pub fn pass_role(account: &AccountId, role: &str) -> Question {
    let resource = match Arn::parse(role) {
        Some(_) => role.to_owned(),
        None => format!("arn:aws:iam::{account}:role/{role}"),
    };
    Question::new("iam:PassRole", resource).with("iam:PassedToService", TASKS_SERVICE)
}
