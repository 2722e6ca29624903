//! AWS CloudTrail: looking at the audit trail that this Outport writes.
//!
//! **Invariant:** nothing is changed, and an account sees its own events only. There are no trails, event data stores or insights: the
//! one trail is always on, and its files are the operator's.

pub mod operations;
mod rejection;

#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

use outport_audit_trail::AuditTrail;
use outport_aws_cloudtrail::*;
use outport_identity::Call;

pub use rejection::{Reason, Rejection};

/// The service: the trail that it looks at.
#[derive(Clone, Debug)]
pub struct CloudTrailService {
    pub(crate) trail: AuditTrail,
}

impl CloudTrailService {
    pub fn new(trail: AuditTrail) -> Self {
        Self { trail }
    }
}

impl CloudTrailHandler<Call> for CloudTrailService {
    async fn lookup_events(
        &self,
        call: &Call,
        input: LookupEventsRequest,
    ) -> Result<LookupEventsResponse, CloudTrailError> {
        operations::lookup_events::lookup_events(self, call, input).await.map_err(Into::into)
    }
}
