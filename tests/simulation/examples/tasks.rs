//! Puts running tasks into the state of a control plane that is stopped: more than any machine runs, for what measures the
//! API over them (`cargo xtask bench api`).
//!
//! `tasks <directory of the state> <cluster>:<nodes>:<tasks>…` The clusters, their services and the task definition `app:1`
//! are there already. Each service gets its desired count of tasks; the others were started by `batch-0`, `batch-1` and
//! so on, as many by each as a service of the cluster has at least.

#![allow(clippy::unwrap_used, reason = "a program that measures")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use outport_model::capacity::NoPlacedTasks;
use outport_model::capacity::StartedTask;
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::network::AwsvpcConfiguration;
use outport_model::node::{Architecture, Node, NodeCapacity};
use outport_model::service::Service;
use outport_model::task::{ContainerStatus, ServiceMembership, TaskOverrides};
use outport_model::task_definition::{LaunchType, ReadWorkload};
use outport_model::{ClusterName, Family, NewIds, NodeId, Tags, TaskStatus};
use outport_planner::placement::Rules;
use outport_planner::{Settings, StartRequest, task_start};
use outport_service_ecs::task_definition::Workloads;
use outport_simulation::user;
use outport_store::keys::TaskDefinitionKey;
use outport_store::{RandomIds, Store, SystemClock, Transaction};

/// Tasks of one commit, and of one batch.
const BATCH: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, clusters) = arguments.split_first().unwrap();
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let store = Store::open(Path::new(directory), clock, ids).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for text in clusters {
        let mut parts = text.split(':');
        let cluster = ClusterName::new(parts.next().unwrap());
        let nodes: usize = parts.next().unwrap().parse().unwrap();
        let tasks: usize = parts.next().unwrap().parse().unwrap();
        runtime.block_on(fill(&store, &cluster, nodes, tasks));
    }
}

async fn fill(store: &Store, cluster: &ClusterName, nodes: usize, tasks: usize) {
    let mut ids = Vec::new();
    write(store, |tx| {
        // A node's id has the form of a task's.
        ids.extend((0..nodes).map(|_| NodeId::new(tx.task_id())));
        ids.iter().for_each(|id| put_node(tx, cluster, id));
    })
    .await;
    let snapshot = store.snapshot();
    let services: Vec<Arc<Service>> =
        snapshot.services.iter().filter(|service| service.cluster == *cluster).cloned().collect();
    let mut left = tasks;
    for service in services {
        let count = left.min(usize::try_from(service.desired_count).unwrap());
        write(store, |tx| start(tx, cluster, count, Owner::Service(&service))).await;
        left -= count;
    }
    let mut number = 0;
    while left > 0 {
        let count = left.min(BATCH);
        write(store, |tx| start(tx, cluster, count, Owner::Batch(number))).await;
        (left, number) = (left - count, number + 1);
    }
    // None of them is there: the control plane need not find that out while it is measured.
    let away = |tx: &mut Transaction<'_>, id: &NodeId| {
        tx.update::<Node>(id, |node| node.connected = false);
    };
    write(store, |tx| ids.iter().for_each(|id| away(tx, id))).await;
}

async fn write(store: &Store, change: impl FnOnce(&mut Transaction<'_>)) {
    let done = store.write(|tx| {
        change(tx);
        Ok::<_, Infallible>(())
    });
    done.await.unwrap();
}

/// A node with room for a hundred tasks and more.
fn put_node(tx: &mut Transaction<'_>, cluster: &ClusterName, id: &NodeId) {
    tx.put(Node {
        id: id.clone(),
        host_name: format!("host-{}", &id.as_str()[..8]),
        agent_version: "0".into(),
        architecture: Architecture::X86_64,
        capacity: NodeCapacity {
            cpu_units: 256 * 128,
            memory_mib: 512 * 128,
            reserved_ports: vec![22],
        },
        boot_id: "boot".into(),
        registered_at_ms: tx.now_ms(),
        last_seen_ms: tx.now_ms(),
        assignment_generation: 0,
        accepts_tasks: true,
        connected: true,
        regions: Vec::new(),
    });
    tx.put(ContainerInstance {
        scope: user::scope(),
        cluster: cluster.clone(),
        id: tx.container_instance_id(),
        node: id.clone(),
        ec2_instance_id: id.ec2_instance_id(),
        status: ContainerInstanceStatus::Active,
        attributes: Vec::new(),
        registered_at_ms: tx.now_ms(),
        version: 1,
        tags: Tags::new(),
    });
}

enum Owner<'a> {
    Service(&'a Service),
    Batch(usize),
}

fn start(tx: &mut Transaction<'_>, cluster: &ClusterName, count: usize, owner: Owner<'_>) {
    let key = TaskDefinitionKey::new(&user::scope(), Family::new("app"), 1_u32);
    let definition = tx.task_definitions.get(&key).unwrap();
    let (overrides, network) = (TaskOverrides::default(), AwsvpcConfiguration::default());
    let (group, started_by, service) = match owner {
        Owner::Batch(number) => ("family:app".to_owned(), format!("batch-{number}"), None),
        Owner::Service(service) => {
            let deployment = service.deployments[0].id.clone();
            let started_by = format!("ecs-svc/{deployment}");
            let member = ServiceMembership { service: service.name.clone(), deployment };
            (format!("service:{}", service.name), started_by, Some(member))
        }
    };
    let request = StartRequest {
        definition: &definition,
        workload: &Workloads::default().read(&definition),
        cluster,
        launch_type: LaunchType::Ec2,
        capacity_provider: None,
        platform_version: None,
        group,
        started_by: Some(started_by),
        service,
        overrides: &overrides,
        network: &network,
        image_digests: &[],
        enable_execute_command: false,
        tags: Tags::new(),
        troubled: const { &BTreeSet::new() },
        rules: &Rules::default(),
        tasks: &NoPlacedTasks,
        of_zones: BTreeMap::new(),
    };
    let made = (&*tx as &dyn NewIds, tx.now_ms());
    let count = u32::try_from(count).unwrap();
    let settings = Settings::default();
    let (started, rejection) =
        task_start::start_many(&request, count, &tx.rooms, &mut [], made, &settings);
    assert_eq!(rejection, None, "there is room for every task");
    for mut started in started {
        run(&mut started, tx.now_ms());
        tx.put_started(started);
    }
}

/// As its node would have reported it.
fn run(started: &mut StartedTask, now_ms: i64) {
    let task = &mut started.task;
    task.last_status = TaskStatus::Running;
    task.version += 2;
    (task.pull_started_at_ms, task.pull_stopped_at_ms) = (Some(now_ms), Some(now_ms));
    (task.connectivity_at_ms, task.started_at_ms) = (Some(now_ms), Some(now_ms));
    for container in &mut task.containers {
        container.last_status = ContainerStatus::Running;
        container.runtime_id = Some(format!("{}-{}", task.id, container.name));
        container.image_digest = Some(format!("sha256:{}{}", task.id, task.id));
    }
}
