//! Tags, for tasks that ask for their own.

use outport_node_protocol::TaskTags;

use super::*;

#[test]
fn the_tags_of_a_task_are_for_its_node_while_it_lives() {
    let house = house();
    house.run_task(0);
    let (key, task) = (house.only_task().key(), house.only_task().id.clone());
    let change = |change: &dyn Fn(&mut Task)| house.write(|tx| tx.update(&key, change));
    let ask =
        |node: &NodeId| house.link.task_tags(&CredentialRequest::new(node.clone(), task.clone()));
    let own = &house.node.id;
    assert_eq!(ask(own).unwrap(), TaskTags::default());
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let instance = house.store.snapshot().container_instances.iter().next().unwrap().key();
    change(&|row| {
        row.tags = [pair("team", "blue")].into();
        row.container_instance = Some(instance.id.clone());
    });
    house.write(|tx| {
        tx.update(&instance, |row: &mut ContainerInstance| row.tags = [pair("rack", "7")].into());
    });
    let tags = ask(own).unwrap();
    assert_eq!(tags.task, [pair("team", "blue")]);
    assert_eq!(tags.container_instance, [pair("rack", "7")]);
    assert!(matches!(ask(&NodeId::new("other")), Err(LinkError::UnknownTask(_))));
    change(&|row| row.container_instance = None);
    assert_eq!(ask(own).unwrap().container_instance, [], "as of a Fargate task");
    change(&|row| row.last_status = TaskStatus::Stopped);
    assert!(matches!(ask(own), Err(LinkError::UnknownTask(_))), "it has stopped");
}
