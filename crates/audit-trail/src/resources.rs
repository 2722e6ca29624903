//! What kinds of resources ARNs name, in CloudFormation's words, as `LookupEvents` has them.

use outport_model::Arn;

/// Service and beginning of the resource in an ARN, and the type. Source: CloudFormation template reference, resource types.
const TYPES: [(&str, &str, &str); 16] = [
    ("ecs", "cluster/", "AWS::ECS::Cluster"),
    ("ecs", "service/", "AWS::ECS::Service"),
    ("ecs", "task-definition/", "AWS::ECS::TaskDefinition"),
    ("ecs", "task/", "AWS::ECS::Task"),
    ("ecs", "container-instance/", "AWS::ECS::ContainerInstance"),
    ("ecr", "repository/", "AWS::ECR::Repository"),
    ("iam", "user/", "AWS::IAM::User"),
    ("iam", "role/", "AWS::IAM::Role"),
    ("iam", "group/", "AWS::IAM::Group"),
    ("iam", "policy/", "AWS::IAM::ManagedPolicy"),
    ("logs", "log-group:", "AWS::Logs::LogGroup"),
    ("secretsmanager", "secret:", "AWS::SecretsManager::Secret"),
    ("ssm", "parameter/", "AWS::SSM::Parameter"),
    ("events", "rule/", "AWS::Events::Rule"),
    ("events", "event-bus/", "AWS::Events::EventBus"),
    ("ec2", "vpc/", "AWS::EC2::VPC"),
];

/// The type of what an ARN names, where it is a known one.
pub fn resource_type(arn: &str) -> Option<&'static str> {
    let arn = Arn::parse(arn)?;
    let is_it = |(service, begin, _): &&(&str, &str, &str)| {
        arn.service() == *service && arn.resource().starts_with(begin)
    };
    TYPES.iter().find(is_it).map(|(_, _, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_resources_have_types() {
        let check = |arn: &str, expected: Option<&str>| assert_eq!(resource_type(arn), expected);
        check("arn:aws:ecs:us-east-1:000000000000:cluster/a", Some("AWS::ECS::Cluster"));
        check("arn:aws:ecs:us-east-1:000000000000:task/a/1", Some("AWS::ECS::Task"));
        check(
            "arn:aws:ecs:us-east-1:000000000000:task-definition/a:1",
            Some("AWS::ECS::TaskDefinition"),
        );
        check("arn:aws:iam::000000000000:role/a", Some("AWS::IAM::Role"));
        check("arn:aws:iam::000000000000:mfa/a", None);
        check("*", None);
    }
}
