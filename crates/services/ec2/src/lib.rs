//! Amazon EC2, as far as tasks need it: the network of an account, shown as EC2 shows it.
//!
//! **Invariant:** reads only. The default VPC is made by [`default_vpc::ensure`], network interfaces by placement; this
//! crate shows their rows and refuses every other operation.

pub mod default_vpc;
mod filter;
mod handler;
pub mod operations;
mod page;
mod resource_id;
mod view;
pub mod zones;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod testing;

use outport_aws_ec2::Ec2Error;
use outport_aws_wire::WireError;
use outport_identity::{Call, ConditionContext};
use outport_model::Scope;
use outport_store::{Snapshot, Store};

/// The service: its store and nothing else.
#[derive(Clone)]
pub struct Ec2Service {
    store: Store,
}

impl Ec2Service {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }
}

/// The account and region that a call is about.
fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

/// Asks for a describe action: EC2 knows no resource for them. `is_dry_run` ends the call once it was allowed.
///
/// # Errors
/// `UnauthorizedOperation`, or `DryRunOperation` for a dry run that would have worked.
fn authorize(call: &Call, action: &str, is_dry_run: Option<bool>) -> Result<(), Ec2Error> {
    let context = ConditionContext::new().with("ec2:Region", call.region.as_str());
    let answer = call.authorize(action, "*", &context);
    answer.map_err(|denied| WireError::access_denied(denied.message))?;
    if is_dry_run == Some(true) {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(Ec2Error::from(WireError::named("DryRunOperation", 412, text)));
    }
    Ok(())
}
