//! What an assignment orders for each task.
//!
//! **Invariant:** an order is never taken back.

use std::sync::Arc;

use outport_container_runtime::check_task;
use outport_model::DesiredStatus;
use outport_node_protocol::TaskAssignment;
use tokio::sync::watch;

use crate::task::Order;

/// Ids become names of directories: one that could be another's is not taken on.
pub(super) fn valid(tasks: &[Arc<TaskAssignment>]) -> impl Iterator<Item = &Arc<TaskAssignment>> {
    tasks.iter().filter(|task| match check_task(task.task.as_str()) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(
                event = "task_id_refused",
                %error,
                "the id of a task in the assignment is no name for a directory: it is refused"
            );
            false
        }
    })
}

pub(super) fn order_of(task: &TaskAssignment) -> Order {
    match task.desired {
        DesiredStatus::Running => Order::Run,
        DesiredStatus::Stopped => Order::Stop(None),
    }
}

/// An order is never taken back.
pub(crate) fn raise(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|known| {
        let higher = rank(&order) > rank(known);
        if higher {
            *known = order;
        }
        higher
    });
}

pub(super) fn rank(order: &Order) -> u8 {
    match order {
        Order::Run => 0,
        Order::Stop(_) => 1,
        Order::Hurry(..) => 2,
        Order::Forget => 3,
    }
}
