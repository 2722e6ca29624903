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
mod service;
mod view;
pub mod zones;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

use outport_identity::Call;
use outport_model::Scope;

pub use service::Ec2Service;

/// The account and region that a call is about.
fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}
