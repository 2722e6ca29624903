//! What a node's operator says of it becomes attributes of its container instance.

use outport_node_protocol::Registration;

use super::*;

fn attribute(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn join(house: &House, attributes: &str) -> Result<(), LinkError> {
    let attributes = attributes.split_whitespace().map(attribute).collect();
    let registration = Registration { attributes, ..house.node.registration() };
    house.link.register(registration).now_or_never().unwrap().map(|_| ())
}

fn shown(house: &House) -> String {
    let tables = house.store.snapshot();
    let instance = tables.container_instances.iter().next().unwrap();
    let texts = instance.attributes.iter().map(|(name, value)| format!("{name}={value}"));
    texts.collect::<Vec<_>>().join(" ")
}

#[test]
fn attributes_of_a_node_are_those_of_its_container_instance() {
    let house = house_on(&MemoryJournal::default());
    house.set_up();
    let own = "ecs.cpu-architecture=x86_64 ecs.os-family=LINUX ecs.os-type=linux";
    join(&house, "").unwrap();
    assert_eq!(shown(&house), format!("ecs.availability-zone=us-east-1a {own}"));
    join(&house, "rack=1 ssd ecs.availability-zone=us-east-1c").unwrap();
    assert_eq!(shown(&house), format!("ecs.availability-zone=us-east-1c {own} rack=1 ssd="));
    // What is the node's own is gone when it is not said any more; the rest may be a caller's by now.
    join(&house, "rack=2 ecs.instance-type=m5.large").unwrap();
    let expected = "ecs.availability-zone=us-east-1a ecs.cpu-architecture=x86_64 \
                    ecs.instance-type=m5.large ecs.os-family=LINUX ecs.os-type=linux rack=2 ssd=";
    assert_eq!(shown(&house), expected);
    let many: Vec<String> = (0..9).map(|number| format!("n{number}=1")).collect();
    let refused = join(&house, &many.join(" ")).unwrap_err();
    assert!(matches!(&refused, LinkError::Refused(text) if text.contains("10")), "{refused}");
    for attributes in ["ecs.os-type=windows", "a/b@c=1", "ecs.availability-zone"] {
        let refused = join(&house, attributes).unwrap_err();
        assert!(matches!(refused, LinkError::Malformed(_)), "{attributes}: {refused}");
    }
    assert_eq!(shown(&house), expected, "nothing changed");
}
