//! The names of AWS's services as principals. AWS refuses a policy that names a service which there is not; which there are, AWS alone
//! knows, and they grow. Here a name is refused that is one letter away from a service's: what a typing mistake makes of it.

/// Those that people name in policies most. Source: IAM user guide, "AWS services that work with IAM", and the guides of the services.
const KNOWN: [&str; 100] = [
    "acm",
    "acm-pca",
    "airflow",
    "amplify",
    "apigateway",
    "appconfig",
    "application-autoscaling",
    "appmesh",
    "apprunner",
    "appsync",
    "athena",
    "autoscaling",
    "backup",
    "batch",
    "bedrock",
    "billing",
    "build.apprunner",
    "cloudformation",
    "cloudfront",
    "cloudtrail",
    "cloudwatch",
    "codebuild",
    "codecommit",
    "codedeploy",
    "codepipeline",
    "cognito-idp",
    "config",
    "databrew",
    "dax",
    "delivery.logs",
    "dms",
    "ds",
    "dynamodb",
    "ec2",
    "ec2fleet",
    "ecr",
    "ecs",
    "ecs-tasks",
    "ecs.application-autoscaling",
    "edgelambda",
    "eks",
    "eks-fargate",
    "eks-fargate-pods",
    "eks-nodegroup",
    "elasticache",
    "elasticbeanstalk",
    "elasticfilesystem",
    "elasticloadbalancing",
    "elasticmapreduce",
    "emr-containers",
    "emr-serverless",
    "es",
    "events",
    "export.rds",
    "firehose",
    "fis",
    "fsx",
    "glue",
    "guardduty",
    "health",
    "imagebuilder",
    "inspector",
    "inspector2",
    "iot",
    "kafka",
    "kafkaconnect",
    "kinesis",
    "kinesisanalytics",
    "kms",
    "lambda",
    "lex",
    "logs",
    "mediaconvert",
    "monitoring",
    "monitoring.rds",
    "mwaa",
    "opensearchservice",
    "opsworks",
    "osis",
    "pipes",
    "pods.eks",
    "pullthroughcache.ecr",
    "rds",
    "redshift",
    "replication.ecr",
    "route53",
    "s3",
    "sagemaker",
    "scheduler",
    "secretsmanager",
    "servicecatalog",
    "ses",
    "sns",
    "spotfleet",
    "sqs",
    "ssm",
    "states",
    "tasks.apprunner",
    "transfer",
    "vpc-flow-logs",
];

/// Shorter names are one letter away from too many that may be.
const COMPARED_MIN: usize = 6;

/// Whether it is one letter away from the name of a service, and none: `ecs-task.amazonaws.com`.
pub fn is_misspelt_service(principal: &str) -> bool {
    let name = principal.strip_suffix(".cn").unwrap_or(principal);
    let Some(name) = name.strip_suffix(".amazonaws.com") else { return false };
    let known = KNOWN.iter().filter(|known| known.len() >= COMPARED_MIN);
    !KNOWN.contains(&name) && known.into_iter().any(|known| is_one_away(name, known))
}

/// Whether one letter more, less or another one makes the one of the other.
fn is_one_away(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if long.len() - short.len() > 1 {
        return false;
    }
    let (short, long) = (short.as_bytes(), long.as_bytes());
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let (rest_short, rest_long) = (&short[same..], &long[same..]);
    match short.len() == long.len() {
        true => rest_short.get(1..) == rest_long.get(1..),
        false => Some(rest_short) == rest_long.get(1..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_typing_mistake_makes_of_a_service() {
        for name in ["ecs-task", "ecs-taskss", "ecs_tasks", "lamda", "lambada", "cloudfrmation"] {
            assert!(is_misspelt_service(&format!("{name}.amazonaws.com")), "{name}");
        }
    }

    #[test]
    fn services_and_what_may_be_one() {
        let mut names = KNOWN.to_vec();
        names.sort_unstable();
        assert_eq!(names, KNOWN);
        for name in KNOWN.iter().copied().chain(["ecx", "new-service", "elastic", "a", ""]) {
            assert!(!is_misspelt_service(&format!("{name}.amazonaws.com")), "{name}");
        }
        assert!(!is_misspelt_service("ecs-task.amazonaws.com.example.org"));
        assert!(is_misspelt_service("ecs-task.amazonaws.com.cn"));
    }
}
