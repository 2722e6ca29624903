//! What an expression says of one container instance.

use std::cmp::Ordering;

use outport_model::capacity::PlacedTasks;
use outport_model::container_instance::ContainerInstance;
use outport_model::node::Node;

use super::literal::Version;
use super::{AttributeTest, Comparison, Expression, PositiveTest, Query, Relation, TextTest};

/// A container instance as expressions look at it.
#[derive(Clone, Copy)]
pub struct Instance<'a> {
    pub row: &'a ContainerInstance,
    /// `None` of one whose node is gone.
    pub node: Option<&'a Node>,
    /// The tasks of its cluster.
    pub tasks: &'a dyn PlacedTasks,
}

impl Query {
    pub fn holds(&self, instance: &Instance<'_>) -> bool {
        holds(&self.0, instance)
    }
}

fn holds(expression: &Expression, instance: &Instance<'_>) -> bool {
    match expression {
        Expression::All(all) => all.iter().all(|one| holds(one, instance)),
        Expression::Any(any) => any.iter().any(|one| holds(one, instance)),
        Expression::Not(not) => !holds(not, instance),
        Expression::Compare(comparison) => compare(comparison, instance),
    }
}

fn compare(comparison: &Comparison, instance: &Instance<'_>) -> bool {
    let row = instance.row;
    match comparison {
        Comparison::AgentConnected(test) => {
            let is_connected = instance.node.is_some_and(|node| node.connected);
            test.holds(if is_connected { "true" } else { "false" })
        }
        Comparison::AgentVersion(test) => {
            let version = instance.node.and_then(|node| Version::parse(&node.agent_version));
            version.is_some_and(|version| test.relation.holds(version.cmp(&test.than)))
        }
        Comparison::Attribute(name, test) => {
            let attribute = row.attributes.iter().find(|(known, _)| known == name);
            attribute_holds(attribute.map(|(_, value)| value.as_str()), test)
        }
        Comparison::Ec2InstanceId(test) => test.holds(&row.ec2_instance_id),
        Comparison::RegisteredAt(test) => {
            // Dates are told in seconds.
            let registered_at_s = row.registered_at_ms.div_euclid(1_000);
            test.relation.holds(registered_at_s.cmp(&test.than.div_euclid(1_000)))
        }
        Comparison::RunningTasksCount(test) => {
            let running = u64::from(instance.tasks.running_on(row));
            test.relation.holds(running.cmp(&test.than))
        }
        Comparison::TaskGroup(test) => group_holds(test, instance),
    }
}

fn attribute_holds(value: Option<&str>, test: &AttributeTest) -> bool {
    match (test, value) {
        (AttributeTest::NotExists, None) => true,
        (_, None) | (AttributeTest::NotExists, Some(_)) => false,
        (AttributeTest::Exists, Some(_)) => true,
        (AttributeTest::Text(test), Some(value)) => test.holds(value),
        (AttributeTest::Ordered(relation, than), Some(value)) => {
            relation.holds(by_size(value, than))
        }
    }
}

fn by_size(one: &str, other: &str) -> Ordering {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => one.cmp(other),
    }
}

fn group_holds(test: &AttributeTest, instance: &Instance<'_>) -> bool {
    let (row, tasks) = (instance.row, instance.tasks);
    match test {
        AttributeTest::Exists => tasks.any_group_on(row, &|_| true),
        AttributeTest::NotExists => !tasks.any_group_on(row, &|_| true),
        AttributeTest::Text(TextTest { is_negative, test: PositiveTest::Equals(group) }) => {
            (tasks.count(group, &row.node) > 0) != *is_negative
        }
        AttributeTest::Text(TextTest { is_negative, test }) => {
            tasks.any_group_on(row, &|group| test.holds(group)) != *is_negative
        }
        // Not made by the parser.
        AttributeTest::Ordered(..) => false,
    }
}

impl TextTest {
    fn holds(&self, value: &str) -> bool {
        self.test.holds(value) != self.is_negative
    }
}

impl PositiveTest {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Equals(text) => text == value,
            Self::In(texts) => texts.iter().any(|text| text == value),
            Self::Matches(pattern) => pattern.is_match(value),
        }
    }
}

impl Relation {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}
