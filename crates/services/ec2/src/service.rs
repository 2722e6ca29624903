//! The one way from an operation to the store: through the answer to its question of permission.
//!
//! Source of actions, resources and condition keys: "Actions, resources, and condition keys for Amazon EC2" in the Service
//! Authorization Reference.

use std::sync::Arc;

use outport_aws_ec2::Ec2Error;
use outport_aws_wire::WireError;
use outport_identity::{Call, Denied, Question, SEAL_NONCE_BYTES, Sealer, Subject};
use outport_model::Regions;
use outport_store::{Snapshot, Store, Tables};

/// The service: its store, the key that seals why a call was refused, and the regions that are told of.
#[derive(Clone)]
pub struct Ec2Service {
    store: Store,
    sealer: Arc<Sealer>,
    pub(crate) regions: Regions,
}

impl Ec2Service {
    pub fn new(store: Store, sealer: Arc<Sealer>, regions: Regions) -> Self {
        Self { store, sealer, regions }
    }

    /// The refusal, with more that only DecodeAuthorizationMessage tells. AWS has it with some operations and not with others:
    /// here with all.
    ///
    /// Source: IAM user guide, "Troubleshoot access denied error messages"; EC2 user guide, "Decode an authorization failure
    /// message"; the text as callers report it.
    pub(crate) fn refused(&self, call: &Call, denied: Denied) -> WireError {
        let mut text =
            format!("You are not authorized to perform this operation. {}", denied.message);
        let mut nonce = [0; SEAL_NONCE_BYTES];
        // Without randomness there is the refusal all the same.
        if let (Some(report), Ok(())) = (denied.report, getrandom::fill(&mut nonce)) {
            let message = report.seal(&self.sealer, call.now_ms, nonce);
            text.push_str(". Encoded authorization failure message: ");
            text.push_str(&message);
        }
        WireError::access_denied(text)
    }

    /// The rows, for a describe action: EC2 knows no resource for most of them.
    ///
    /// # Errors
    /// As [`Ec2Service::read_about`].
    pub(crate) fn read(
        &self,
        call: &Call,
        action: &'static str,
        is_dry_run: Option<bool>,
    ) -> Result<Snapshot, Ec2Error> {
        self.read_about(call, is_dry_run, |_| Question::without_resource(action))
    }

    /// The rows, for a caller who may do what `ask` asks. `is_dry_run` ends the call once that was allowed.
    ///
    /// # Errors
    /// `UnauthorizedOperation`, or `DryRunOperation` for a dry run that would have worked.
    pub(crate) fn read_about(
        &self,
        call: &Call,
        is_dry_run: Option<bool>,
        ask: impl FnOnce(&Tables) -> Question,
    ) -> Result<Snapshot, Ec2Error> {
        let tables = self.store.snapshot();
        let question = ask(&tables).with("ec2:Region", call.region.as_str());
        let answer = call.open(Subject::from(question));
        answer.map_err(|denied| self.refused(call, denied))?;
        if is_dry_run == Some(true) {
            let text = "Request would have succeeded, but DryRun flag is set.";
            return Err(Ec2Error::from(WireError::named("DryRunOperation", 412, text)));
        }
        Ok(tables)
    }
}
