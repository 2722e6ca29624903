//! `DeregisterContainerInstance`: takes a node out for good. What its key proves is not believed any more.

use std::sync::Arc;

use outport_aws_ecs::{DeregisterContainerInstanceRequest, DeregisterContainerInstanceResponse};
use outport_identity::Call;
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::node::Node;
use outport_model::node_identity::NodeIdentity;
use outport_model::task::Task;
use outport_planner::task_end::give_up;
use outport_store::keys::ContainerInstanceKey;
use outport_store::{Tables, Transaction};

use crate::resource::Resource;
use crate::views::container_instance::view;
use crate::{EcsService, Rejection, access, lookup, names};

/// The instance becomes INACTIVE and its node's identity is revoked: its connections are refused, and its agent ends. With
/// `force` its tasks are given up; their containers run on there, orphaned, until somebody stops them. Source: botocore's
/// documentation of DeregisterContainerInstance. The texts of the refusals are moto's; the reason of the tasks is our own.
///
/// A node is Fargate capacity too, so here tasks of either launch type count.
pub async fn deregister_container_instance(
    service: &EcsService,
    call: &Call,
    input: DeregisterContainerInstanceRequest,
) -> Result<DeregisterContainerInstanceResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let text = input.container_instance.unwrap_or_default();
    let id = names::container_instance(&scope, &cluster, &text)?.ok_or_else(not_found)?;
    let force = input.force.unwrap_or(false);
    // AWS asks about the cluster, not about the instance.
    let resource = Resource::cluster(&scope, &cluster);
    let ask = |tables: &Tables| resource.question(tables, "ecs:DeregisterContainerInstance").into();
    service
        .store
        .write_always(call, ask, |tx, ()| {
            lookup::active_cluster(tx, &scope, &cluster)?;
            let key = ContainerInstanceKey::new(&scope, cluster, id);
            let instance = tx.container_instances.get(&key).cloned().ok_or_else(not_found)?;
            if instance.status == ContainerInstanceStatus::Inactive {
                return Err(not_found());
            }
            if !force && !tx.tasks.live_on_node(&instance.node).is_empty() {
                return Err(Rejection::invalid_parameter("Found running tasks on the instance."));
            }
            deregister(tx, &key, &instance);
            let row = tx.container_instances.get(&key).cloned().ok_or_else(not_found)?;
            let shown = view(tx, &row, true);
            Ok(DeregisterContainerInstanceResponse { container_instance: Some(shown) })
        })
        .await
}

fn not_found() -> Rejection {
    Rejection::invalid_parameter("The referenced container instance was not found.")
}

fn deregister(tx: &mut Transaction<'_>, key: &ContainerInstanceKey, instance: &ContainerInstance) {
    let now_ms = tx.now_ms();
    tx.update(key, |row: &mut ContainerInstance| {
        row.status = ContainerInstanceStatus::Inactive;
        row.version += 1;
    });
    tx.update(&instance.node, |node: &mut Node| {
        node.accepts_tasks = false;
        node.connected = false;
    });
    tx.update(&instance.node, |identity: &mut NodeIdentity| {
        identity.revoked_at_ms = identity.revoked_at_ms.or(Some(now_ms));
    });
    let reason = format!("Host EC2 (instance {}) deregistered.", instance.ec2_instance_id);
    let live: Vec<Arc<Task>> = tx.tasks.live_on_node(&instance.node).values().cloned().collect();
    for end in live.iter().filter_map(|task| give_up(task, &reason, now_ms)) {
        tx.put_end(end);
    }
}

#[cfg(test)]
mod tests {
    use outport_model::NodeId;
    use outport_model::node_identity::{KeyFingerprint, NodeIdentity};
    use serde_json::{Value, json};

    use crate::testing::World;

    const NODE: &str = "0123456789abcdef0123456789abcdef";

    async fn world() -> (World, Value) {
        let world = World::with_node(2048, 4096);
        world.put(|tx| {
            tx.put(NodeIdentity {
                node: NodeId::new(NODE),
                keys: vec![KeyFingerprint::new("key")],
                joined_at_ms: tx.now_ms(),
                revoked_at_ms: None,
            });
        });
        let listed = world.call("ListContainerInstances", json!({})).await;
        (world, listed["containerInstanceArns"][0].clone())
    }

    fn is_revoked(world: &World) -> bool {
        let identities = world.store.snapshot();
        let identity = identities.node_identities.get(&NodeId::new(NODE)).cloned();
        identity.expect("a node").revoked_at_ms.is_some()
    }

    #[tokio::test]
    async fn an_empty_instance_goes_and_its_key_with_it() {
        let (world, arn) = world().await;
        let input = json!({"containerInstance": arn});
        let answer = world.call("DeregisterContainerInstance", input.clone()).await;
        assert_eq!(answer["containerInstance"]["status"], "INACTIVE");
        assert_eq!(answer["containerInstance"]["agentConnected"], false);
        assert!(is_revoked(&world));
        let (status, again) = world.reply("DeregisterContainerInstance", &input).await;
        assert_eq!((status, again["__type"].as_str()), (400, Some("InvalidParameterException")));
    }

    #[tokio::test]
    async fn tasks_are_given_up_only_with_force() {
        let (world, arn) = world().await;
        let task = world.run("app").await;
        let input = json!({"containerInstance": arn});
        let (status, refused) = world.reply("DeregisterContainerInstance", &input).await;
        let expected = "Found running tasks on the instance.";
        assert_eq!((status, refused["message"].as_str()), (400, Some(expected)), "{refused}");
        assert!(!is_revoked(&world));
        let input = json!({"containerInstance": arn, "force": true});
        world.call("DeregisterContainerInstance", input).await;
        assert!(is_revoked(&world));
        let shown = world.call("DescribeTasks", json!({"tasks": [task]})).await;
        let task = &shown["tasks"][0];
        assert_eq!(
            (&task["lastStatus"], &task["desiredStatus"]),
            (&json!("STOPPED"), &json!("STOPPED"))
        );
        let reason = task["stoppedReason"].as_str().unwrap_or_default();
        assert!(reason.contains("deregistered"), "{task}");
        assert!(world.store.snapshot().network_interfaces.is_empty());
    }

    #[tokio::test]
    async fn an_instance_that_is_not_there_is_refused() {
        let (world, _) = world().await;
        let input = json!({"containerInstance": "0".repeat(32)});
        let (status, refused) = world.reply("DeregisterContainerInstance", &input).await;
        assert_eq!(status, 400, "{refused}");
    }
}
