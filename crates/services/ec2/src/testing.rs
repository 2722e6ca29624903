//! The one driver of the operation tests: a new account on a store in memory, called with forms as a client would.

use std::sync::Arc;

use outport_aws_ec2::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request, form_parameter};
use outport_identity::{AccountRoots, Call, PermissionSource, Sealer};
use outport_model::network::Ipv4Cidr;
use outport_model::{AccountId, Region, Regions, Scope};
use outport_store::{ManualClock, SeededIds, Store};

use crate::{Ec2Service, default_vpc};

pub struct World {
    pub store: Store,
    pub scope: Scope,
    service: Ec2Service,
    /// Answers every question of permission.
    pub permissions: Arc<dyn PermissionSource>,
}

impl World {
    pub fn new() -> Self {
        let world = Self::bare();
        let cidr = Ipv4Cidr::parse(default_vpc::DEFAULT_CIDR).unwrap();
        world.write(|tx| default_vpc::ensure(tx, &world.scope, cidr).unwrap());
        world
    }

    /// Without any network.
    pub fn bare() -> Self {
        let store = Store::in_memory(Arc::new(ManualClock::at(0)), Arc::new(SeededIds::new(1)));
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let permissions = Arc::new(AccountRoots);
        let regions = Regions::new(scope.region.clone(), [Region::new("eu-west-1")]);
        let sealer = Arc::new(Sealer::new(&[1; 32]));
        Self { service: Ec2Service::new(store.clone(), sealer, regions), store, scope, permissions }
    }

    pub fn put<R: outport_store::InTables>(&self, row: R) {
        self.write(|tx| tx.put(row));
    }

    /// In memory a write is done at the first poll.
    fn write(&self, change: impl FnOnce(&mut outport_store::Transaction<'_>)) {
        let write = self.store.write(|tx| {
            change(tx);
            Ok::<(), std::convert::Infallible>(())
        });
        let mut write = std::pin::pin!(write);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match write.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => result.unwrap(),
            std::task::Poll::Pending => panic!("a store in memory writes at once"),
        }
    }

    /// The XML of the answer, error or not, to a form.
    pub async fn call(&self, form: &str) -> String {
        let form = format!("{form}&Version=2016-11-15");
        let operation = form_parameter(form.as_bytes(), "Action").unwrap();
        let call = Call::for_tests().at(0).asking(self.permissions.clone());
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Ec2,
            operation: &operation,
            body: form.as_bytes(),
            request_id: "request",
        };
        let mut exchange = Exchange::new(request).unwrap();
        let reply = match dispatch(&self.service, &call, &operation, &mut exchange).await {
            Ok(()) => exchange.into_reply(),
            Err(error) => request.failure(&error),
        };
        String::from_utf8(reply.body).unwrap()
    }
}
