//! The AWS services as the front door sees them. Services know nothing of HTTP, and the front door
//! knows no service: here they meet.

use outport_aws_wire::{Exchange, ServiceModel, WireError};
use outport_front_door::{AwsService, BoxFuture};
use outport_identity::Call;

/// A service behind the front door.
pub struct Served<S>(pub S);

macro_rules! served {
    ($($service:ty => $model:ident,)+) => {
        $(impl AwsService for Served<$service> {
            fn model(&self) -> &'static ServiceModel {
                &$model::MODEL
            }

            fn call<'a>(
                &'a self,
                call: &'a Call,
                operation: &'a str,
                exchange: &'a mut Exchange<'_>,
            ) -> BoxFuture<'a, Result<(), WireError>> {
                Box::pin($model::dispatch(&self.0, call, operation, exchange))
            }
        })+

        #[cfg(test)]
        pub static MODELS: &[&ServiceModel] = &[$(&$model::MODEL,)+];
    };
}

served! {
    outport_service_cloudtrail::CloudTrailService => outport_aws_cloudtrail,
    outport_service_ec2::Ec2Service => outport_aws_ec2,
    outport_service_ecr::EcrService => outport_aws_ecr,
    outport_service_ecs::EcsService => outport_aws_ecs,
    outport_service_events::EventsService => outport_aws_events,
    outport_service_iam::IamService => outport_aws_iam,
    outport_service_kms::KmsService => outport_aws_kms,
    outport_service_logs::LogsService => outport_aws_logs,
    outport_service_secretsmanager::SecretsManagerService => outport_aws_secretsmanager,
    outport_service_ssm::SsmService => outport_aws_ssm,
    outport_service_sts::StsService => outport_aws_sts,
}
