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
use outport_web_identity::Issuers;

pub use rejection::Rejection;
pub use service_session::{NotAssumed, ServiceSession};

/// The service: the rows of IAM, the key that seals session tokens, and the keys of identity providers.
#[derive(Clone)]
pub struct StsService {
    pub(crate) store: Store,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) issuers: Arc<Issuers>,
}

impl StsService {
    pub fn new(store: Store, sealer: Arc<Sealer>) -> Self {
        Self { store, sealer, issuers: Arc::default() }
    }

    /// The same, with what the operator says of identity providers.
    #[must_use]
    pub fn with_issuers(mut self, issuers: Issuers) -> Self {
        self.issuers = Arc::new(issuers);
        self
    }
}

macro_rules! handler {
    ($($operation:ident: $input:ident => $output:ident,)+) => {
        impl StsHandler<Call> for StsService {
            /// The only one that waits for somebody else.
            async fn assume_role_with_web_identity(
                &self,
                call: &Call,
                input: AssumeRoleWithWebIdentityRequest,
            ) -> Result<AssumeRoleWithWebIdentityResponse, StsError> {
                let operation = operations::assume_role_with_web_identity::assume_role_with_web_identity;
                operation(self, call, input).await.map_err(StsError::from)
            }

            $(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, StsError> {
                let answer = operations::$operation::$operation(self, call, input);
                answer.map_err(StsError::from)
            })+
        }
    };
}

handler! {
    assume_role: AssumeRoleRequest => AssumeRoleResponse,
    decode_authorization_message: DecodeAuthorizationMessageRequest => DecodeAuthorizationMessageResponse,
    get_access_key_info: GetAccessKeyInfoRequest => GetAccessKeyInfoResponse,
    get_caller_identity: GetCallerIdentityRequest => GetCallerIdentityResponse,
    get_federation_token: GetFederationTokenRequest => GetFederationTokenResponse,
    get_session_token: GetSessionTokenRequest => GetSessionTokenResponse,
}
