//! AWS STS: who is calling, and temporary credentials.
//!
//! **Invariant:** nothing is kept. All that temporary credentials are is sealed into their session token
//! ([`outport_identity::SessionToken`]); roles and users are read, never written.

mod credentials;
pub mod operations;
mod rejection;
mod service_session;
mod session;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use outport_aws_sts::*;
use outport_identity::{Call, Sealer};
use outport_store::Store;

pub use rejection::Rejection;
pub use service_session::{NotAssumed, ServiceSession};

/// The service: the rows of IAM, and the key that seals session tokens.
#[derive(Clone)]
pub struct StsService {
    pub(crate) store: Store,
    pub(crate) sealer: Arc<Sealer>,
}

impl StsService {
    pub fn new(store: Store, sealer: Arc<Sealer>) -> Self {
        Self { store, sealer }
    }
}

macro_rules! handler {
    ($($operation:ident: $input:ident => $output:ident,)+) => {
        impl StsHandler<Call> for StsService {
            $(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, StsError> {
                let answer = operations::$operation::$operation(self, call, input);
                answer.map_err(StsError::from)
            })+
        }
    };
}

handler! {
    assume_role: AssumeRoleRequest => AssumeRoleResponse,
    get_access_key_info: GetAccessKeyInfoRequest => GetAccessKeyInfoResponse,
    get_caller_identity: GetCallerIdentityRequest => GetCallerIdentityResponse,
    get_federation_token: GetFederationTokenRequest => GetFederationTokenResponse,
    get_session_token: GetSessionTokenRequest => GetSessionTokenResponse,
}
