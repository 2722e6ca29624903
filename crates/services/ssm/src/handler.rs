//! The generated handler trait, operation by operation.

use outport_aws_ssm::*;
use outport_identity::Call;

use crate::SsmService;
use crate::operations::{deletion, labels, lists, put, read, tagging};

macro_rules! handler {
    ($($module:ident { $($operation:ident: $input:ident => $output:ty,)+ })+) => {
        impl SsmHandler<Call> for SsmService {
            $($(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, SsmError> {
                let answer = $module::$operation(self, call, input).await;
                answer.map_err(SsmError::from)
            })+)+
        }
    };
}

handler! {
    deletion {
        delete_parameter: DeleteParameterRequest => DeleteParameterResult,
        delete_parameters: DeleteParametersRequest => DeleteParametersResult,
    }
    labels {
        label_parameter_version: LabelParameterVersionRequest => LabelParameterVersionResult,
        unlabel_parameter_version: UnlabelParameterVersionRequest => UnlabelParameterVersionResult,
    }
    lists {
        describe_parameters: DescribeParametersRequest => DescribeParametersResult,
        get_parameter_history: GetParameterHistoryRequest => GetParameterHistoryResult,
        get_parameters_by_path: GetParametersByPathRequest => GetParametersByPathResult,
    }
    put {
        put_parameter: PutParameterRequest => PutParameterResult,
    }
    read {
        get_parameter: GetParameterRequest => GetParameterResult,
        get_parameters: GetParametersRequest => GetParametersResult,
    }
    tagging {
        add_tags_to_resource: AddTagsToResourceRequest => AddTagsToResourceResult,
        list_tags_for_resource: ListTagsForResourceRequest => ListTagsForResourceResult,
        remove_tags_from_resource: RemoveTagsFromResourceRequest => RemoveTagsFromResourceResult,
    }
}
