//! AWS STS, as far as it tells callers who they are.
//!
//! **Invariant:** no state. The answer is the proven identity of the call.

pub mod operations;

use outport_aws_sts::{GetCallerIdentityRequest, GetCallerIdentityResponse, StsError, StsHandler};
use outport_identity::Call;

/// The service.
#[derive(Clone, Copy, Debug, Default)]
pub struct StsService;

impl StsService {
    pub fn new() -> Self {
        Self
    }
}

impl StsHandler<Call> for StsService {
    async fn get_caller_identity(
        &self,
        call: &Call,
        input: GetCallerIdentityRequest,
    ) -> Result<GetCallerIdentityResponse, StsError> {
        operations::get_caller_identity::get_caller_identity(call, input)
    }
}
