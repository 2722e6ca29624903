//! The network interface of a task.

use std::net::Ipv4Addr;
use std::sync::Arc;

use outport_model::network::NetworkInterface;
use outport_model::{NetworkInterfaceId, TaskId};

use crate::row::Row;
use crate::rows::key::key;
use crate::rows::subnet::SubnetKey;
use crate::table::{Grouping, Index, Rows, Table};
use crate::tables::{Related, Tables, Touched};

key!(NetworkInterfaceKey { id: NetworkInterfaceId });

impl Row for NetworkInterface {
    type Key = NetworkInterfaceKey;
    type Index = NetworkInterfaceIndex;
    const TABLE: &'static str = "network_interface";
    fn key(&self) -> NetworkInterfaceKey {
        NetworkInterfaceKey::new(&self.scope, self.id.clone())
    }
}

impl Related for NetworkInterface {
    /// It is told to the node of its task, with the task.
    fn relate(tables: &mut Tables, old: Option<&Self>, new: Option<&Self>, touched: &mut Touched) {
        // One that comes or goes does so with its task.
        let (Some(_), Some(new)) = (old, new) else { return };
        let task = tables.tasks.by_id(&new.task);
        touched.nodes.extend(task.and_then(|task| task.node.clone()));
    }
}

#[derive(Clone, Debug, Default)]
pub struct NetworkInterfaceIndex {
    by_subnet: Grouping<SubnetKey, Ipv4Addr, NetworkInterface>,
    by_task: Grouping<TaskId, NetworkInterfaceId, NetworkInterface>,
}

impl Index<NetworkInterface> for NetworkInterfaceIndex {
    fn add(&mut self, row: &Arc<NetworkInterface>) {
        let subnet = SubnetKey::new(&row.scope, row.subnet_id.clone());
        self.by_subnet.add(subnet, row.private_ip, row);
        self.by_task.add(row.task.clone(), row.id.clone(), row);
    }
    fn remove(&mut self, row: &NetworkInterface) {
        let subnet = SubnetKey::new(&row.scope, row.subnet_id.clone());
        self.by_subnet.remove(&subnet, &row.private_ip);
        self.by_task.remove(&row.task, &row.id);
    }
}

impl Table<NetworkInterface> {
    /// The interfaces of a subnet by their address.
    pub fn in_subnet(&self, subnet: &SubnetKey) -> &Rows<Ipv4Addr, NetworkInterface> {
        self.index.by_subnet.get(subnet)
    }
    pub fn of_task(&self, task: &TaskId) -> &Rows<NetworkInterfaceId, NetworkInterface> {
        self.index.by_task.get(task)
    }
}
