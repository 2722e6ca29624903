//! What a deployment of a service was made from.

use std::sync::Arc;

use outport_model::deployment::ServiceRevision;
use outport_model::{ClusterName, DeploymentId, ServiceName};

use crate::cold::ColdTable;
use crate::row::Row;
use crate::rows::key::key;
use crate::rows::service::ServiceKey;
use crate::table::{Grouping, Index, Rows};
use crate::tables::Related;

key!(ServiceRevisionKey { cluster: ClusterName, service: ServiceName, id: DeploymentId });

impl Row for ServiceRevision {
    type Key = ServiceRevisionKey;
    type Index = ServiceRevisionIndex;
    const TABLE: &'static str = "service_revision";
    fn key(&self) -> ServiceRevisionKey {
        ServiceRevisionKey::new(
            &self.scope,
            self.cluster.clone(),
            self.service.clone(),
            self.id.clone(),
        )
    }
}

impl Related for ServiceRevision {}

#[derive(Clone, Debug, Default)]
pub struct ServiceRevisionIndex {
    by_service: Grouping<ServiceKey, DeploymentId, ServiceRevision>,
}

impl Index<ServiceRevision> for ServiceRevisionIndex {
    fn add(&mut self, row: &Arc<ServiceRevision>) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.add(service, row.id.clone(), row);
    }
    fn remove(&mut self, row: &ServiceRevision) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.remove(&service, &row.id);
    }
}

impl ColdTable<ServiceRevision> {
    pub fn of_service(&self, service: &ServiceKey) -> &Rows<DeploymentId, ServiceRevision> {
        self.index.by_service.get(service)
    }
}
