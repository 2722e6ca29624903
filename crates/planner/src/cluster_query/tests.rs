use std::sync::Arc;

use outport_model::capacity::PlacedTasks;
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::node::Node;
use outport_model::{
    AccountId, ClusterName, ContainerInstanceId, NodeId, Region, Scope, Tags, TimestampMs,
};

use super::*;
use crate::testing::node;

/// `database` and `service:web` are on the instance, two of its tasks run.
#[derive(Debug)]
struct Tasks;

const GROUPS: [&str; 2] = ["database", "service:web"];

impl PlacedTasks for Tasks {
    fn count(&self, group: &str, _node: &NodeId) -> u32 {
        u32::from(GROUPS.contains(&group))
    }
    fn of_group<'a>(&'a self, _group: &'a str) -> Box<dyn Iterator<Item = (&'a NodeId, u32)> + 'a> {
        Box::new(std::iter::empty())
    }
    fn any_group_on(&self, _: &ContainerInstance, will_do: &dyn Fn(&str) -> bool) -> bool {
        GROUPS.iter().any(|group| will_do(group))
    }
    fn running_on(&self, _instance: &ContainerInstance) -> u32 {
        2
    }
}

/// 2018-06-18T22:28:28Z.
const REGISTERED_AT_MS: TimestampMs = 1_529_360_908_000;

fn instance() -> ContainerInstance {
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ContainerInstance {
        scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
        cluster: ClusterName::new("default"),
        id: ContainerInstanceId::new("i"),
        node: NodeId::new("n"),
        ec2_instance_id: "i-abcd1234".into(),
        status: ContainerInstanceStatus::Active,
        attributes: vec![
            attribute("ecs.instance-type", "g2.2xlarge"),
            attribute("ecs.availability-zone", "us-east-1a"),
            attribute("stack", "prod"),
            attribute("flag", ""),
            attribute("slots", "12"),
            attribute("owner", "team two"),
        ],
        registered_at_ms: REGISTERED_AT_MS,
        version: 1,
        tags: Tags::new(),
    }
}

#[track_caller]
fn check(expression: &str, expected: bool) {
    let query = Query::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let node = Arc::new(Node { agent_version: "1.14.5".into(), ..node("n") });
    let row = instance();
    let instance = Instance { row: &row, node: Some(&node), tasks: &Tasks };
    assert_eq!(query.holds(&instance), expected, "{expression}");
}

#[track_caller]
fn refuses(expression: &str, expected: &str) {
    let error = Query::parse(expression).expect_err(expression);
    assert_eq!(error.to_string(), expected, "{expression}");
}

/// Each holds, and its negation does not.
#[track_caller]
fn holds(expression: &str) {
    check(expression, true);
    check(&format!("not({expression})"), false);
    check(&format!("!({expression})"), false);
}

#[track_caller]
fn fails(expression: &str) {
    check(expression, false);
    check(&format!("not ({expression})"), true);
}

#[test]
fn the_examples_of_the_guide() {
    fails("attribute:ecs.instance-type == t2.small");
    holds("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]");
    holds("attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d");
    holds("task:group == service:web");
    fails("task:group == service:production");
    fails("not(task:group == database)");
    fails("runningTasksCount == 1");
    fails("agentVersion < 1.14.5");
    fails("registeredAt < 2018-02-13");
    holds("ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']");
}

#[test]
fn attributes() {
    for operator in ["==", "equals"] {
        holds(&format!("attribute:stack {operator} prod"));
        fails(&format!("attribute:stack {operator} test"));
        fails(&format!("attribute:none {operator} test"));
    }
    // As the guide has it: the instances with the attribute, unless it is that.
    for operator in ["!=", "not_equals"] {
        fails(&format!("attribute:stack {operator} prod"));
        holds(&format!("attribute:stack {operator} test"));
        fails(&format!("attribute:none {operator} test"));
    }
    holds("attribute:stack exists");
    holds("attribute:flag exists");
    fails("attribute:none exists");
    for operator in ["!exists", "not_exists", "! exists"] {
        fails(&format!("attribute:stack {operator}"));
        holds(&format!("attribute:none {operator}"));
    }
    for operator in ["!in", "not_in", "not in"] {
        fails(&format!("attribute:stack {operator} [prod]"));
        holds(&format!("attribute:stack {operator} [test,dev]"));
        fails(&format!("attribute:none {operator} [test]"));
    }
    holds("attribute:flag == ''");
    holds("attribute:owner == 'team two'");
    holds("attribute:owner in [ops, \"team two\"]");
    fails("attribute:Stack == prod");
}

#[test]
fn patterns_mean_the_whole_value() {
    for operator in ["=~", "matches"] {
        holds(&format!("attribute:ecs.instance-type {operator} g2.*"));
        fails(&format!("attribute:ecs.instance-type {operator} g2"));
        holds(&format!("attribute:ecs.instance-type {operator} 'g2\\.(2xlarge|small)'"));
        holds(&format!("attribute:ecs.availability-zone {operator} us-east-1[a-c]"));
    }
    for operator in ["!~", "not_matches"] {
        fails(&format!("attribute:ecs.instance-type {operator} g2.*"));
        holds(&format!("attribute:ecs.instance-type {operator} t2.*"));
        fails(&format!("attribute:none {operator} t2.*"));
    }
}

#[test]
fn sizes() {
    holds("attribute:slots > 9");
    holds("attribute:slots greater_than 9");
    holds("attribute:slots >= 12");
    holds("attribute:slots less_than_equal 12");
    fails("attribute:slots < 12");
    holds("attribute:stack <= prod");
    holds("attribute:stack greater_than_equal alpha");
    fails("attribute:none > 1");
    holds("runningTasksCount > 1");
    holds("runningTasksCount <= 2");
    holds("runningTasksCount != 3");
    holds("agentVersion > 1.9");
    holds("agentVersion == 1.14.5");
    holds("agentVersion less_than 2");
    fails("agentVersion >= 1.15.0");
}

#[test]
fn dates() {
    holds("registeredAt == 2018-06-18T22:28:28Z");
    holds("registeredAt == 2018-06-18T22:28:28+00:00");
    holds("registeredAt == 2018-06-19T00:28:28+02:00");
    holds("registeredAt == 2018-06-18T22:28:28");
    fails("registeredAt == 2018-06-18");
    holds("registeredAt > 2018-06-18");
    holds("registeredAt < 2018-06-19");
    holds("registeredAt > 2016-02-29");
}

#[test]
fn other_subjects() {
    holds("agentConnected == true");
    fails("agentConnected != true");
    holds("agentConnected in [true]");
    fails("agentConnected =~ f.*");
    holds("ec2InstanceId == i-abcd1234");
    holds("ec2InstanceId !~ i-f.*");
    holds("task:group =~ service:.*");
    fails("task:group !~ service:.*");
    holds("task:group in [cache, database]");
    holds("task:group != cache");
    fails("task:group not_in [database]");
    holds("task:group exists");
}

#[test]
fn and_binds_tighter_than_or() {
    let (yes, no) = ("attribute:stack == prod", "attribute:stack == test");
    for (and, or) in [("and", "or"), ("&&", "||")] {
        holds(&format!("{yes} {or} {no} {and} {no}"));
        fails(&format!("({yes} {or} {no}) {and} {no}"));
        fails(&format!("{no} {and} {no} {or} {no}"));
        holds(&format!("{no} {or} {no} {or} {yes} {and} {yes} {and} not {no}"));
    }
    holds("attribute:stack==prod&&attribute:slots>9");
    holds("attribute:stack==test||attribute:slots>9");
    holds("(attribute:stack==prod)and(attribute:flag exists)");
}

#[test]
fn what_is_no_expression() {
    refuses("", "the expression is empty");
    refuses("  ", "the expression is empty");
    refuses("x", "unknown subject 'x'");
    refuses("attribute: == a", "unknown subject 'attribute:'");
    refuses("task:id == a", "unknown subject 'task:id'");
    refuses("attribute:a", "expected an operator at character 12, but found the end");
    refuses("attribute:a = b", "expected an operator at character 13, but found '='");
    refuses("attribute:a like b", "expected an operator at character 13, but found 'like'");
    refuses("attribute:a ==", "expected an argument at character 15, but found the end");
    refuses("attribute:a == (b)", "expected an argument at character 16, but found '(b)'");
    refuses("attribute:a == b c", "expected 'and', 'or' or the end at character 18, but found 'c'");
    refuses(
        "attribute:a == 'b",
        "expected a text with its closing quote at character 16, but found ''b'",
    );
    refuses("attribute:a in b", "expected '[' at character 16, but found 'b'");
    refuses("attribute:a in []", "expected an argument at character 17, but found ']'");
    refuses("attribute:a in [b c]", "expected ',' or ']' at character 19, but found 'c]'");
    refuses("(attribute:a exists", "expected ')' at character 20, but found the end");
    refuses(
        "attribute:a exists)",
        "expected 'and', 'or' or the end at character 19, but found ')'",
    );
    refuses("attribute:a exists and", "expected a subject at character 23, but found the end");
    refuses("== a", "expected a subject at character 1, but found '=='");
    refuses("agentConnected > a", "the subject 'agentConnected' does not support the operator '>'");
    refuses("agentVersion =~ 1.*", "the subject 'agentVersion' does not support the operator '=~'");
    refuses(
        "ec2InstanceId exists",
        "the subject 'ec2InstanceId' does not support the operator 'exists'",
    );
    refuses(
        "runningTasksCount in [1]",
        "the subject 'runningTasksCount' does not support the operator 'in'",
    );
    refuses("task:group < a", "the subject 'task:group' does not support the operator '<'");
    refuses(
        "runningTasksCount == one",
        "the argument 'one' of 'runningTasksCount' must be a number",
    );
    refuses(
        "agentVersion > new",
        "the argument 'new' of 'agentVersion' must be a version, as 1.14.5",
    );
    for date in ["18-06-2018", "2018-13-01", "2018-02-29", "2018-06-18T25:00:00", "2018-06-18T"] {
        refuses(
            &format!("registeredAt < {date}"),
            &format!(
                "the argument '{date}' of 'registeredAt' must be a date, as 2018-06-18 or 2018-06-18T22:28:28Z"
            ),
        );
    }
    for pattern in ["'('", "'(?=a)'", "'(a)\\1'", "*"] {
        refuses(
            &format!("attribute:a =~ {pattern}"),
            &format!(
                "'{}' is not a regular expression that is supported: look-around and back-references are not",
                pattern.trim_matches('\'')
            ),
        );
    }
}

#[test]
fn limits() {
    let deep =
        |depth: usize| format!("{}attribute:a exists{}", "(".repeat(depth), ")".repeat(depth));
    check(&deep(31), false);
    refuses(&deep(32), "parentheses and negations can be nested at most 32 deep");
    refuses(
        &format!("{}attribute:a exists", "!".repeat(40)),
        "parentheses and negations can be nested at most 32 deep",
    );
    let long = format!("attribute:a == {}", "b".repeat(2_000 - 15));
    check(&long, false);
    refuses(&format!("{long}b"), "an expression can have at most 2000 characters");
    refuses(
        "attribute:a =~ 'x{1000}{1000}{1000}'",
        "'x{1000}{1000}{1000}' is not a regular expression that is supported: look-around and back-references are not",
    );
}
