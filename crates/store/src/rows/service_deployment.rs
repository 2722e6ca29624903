//! One deployment of a service.

use std::sync::Arc;

use outport_model::deployment::ServiceDeployment;
use outport_model::{ClusterName, ServiceDeploymentId, ServiceName};

use crate::row::Row;
use crate::rows::key::key;
use crate::rows::service::ServiceKey;
use crate::table::{Grouping, Index, Rows, Table};
use crate::tables::{Related, Tables, Touched};

key!(ServiceDeploymentKey { cluster: ClusterName, service: ServiceName, id: ServiceDeploymentId });

impl Row for ServiceDeployment {
    type Key = ServiceDeploymentKey;
    type Index = ServiceDeploymentIndex;
    const TABLE: &'static str = "service_deployment";
    fn key(&self) -> ServiceDeploymentKey {
        ServiceDeploymentKey::new(
            &self.scope,
            self.cluster.clone(),
            self.service.clone(),
            self.id.clone(),
        )
    }
}

impl Related for ServiceDeployment {
    fn relate(_tables: &mut Tables, old: Option<&Self>, new: Option<&Self>, touched: &mut Touched) {
        let rows = [old, new].into_iter().flatten();
        touched.services.extend(
            rows.map(|row| ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone())),
        );
    }
}

#[derive(Clone, Debug, Default)]
pub struct ServiceDeploymentIndex {
    by_service: Grouping<ServiceKey, ServiceDeploymentId, ServiceDeployment>,
}

impl Index<ServiceDeployment> for ServiceDeploymentIndex {
    fn add(&mut self, row: &Arc<ServiceDeployment>) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.add(service, row.id.clone(), row);
    }
    fn remove(&mut self, row: &ServiceDeployment) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.remove(&service, &row.id);
    }
}

impl Table<ServiceDeployment> {
    pub fn of_service(
        &self,
        service: &ServiceKey,
    ) -> &Rows<ServiceDeploymentId, ServiceDeployment> {
        self.index.by_service.get(service)
    }
}
