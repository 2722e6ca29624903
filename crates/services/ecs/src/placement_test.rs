//! Constraints and strategies, from requests to the rows of tasks.

use outport_model::container_instance::ContainerInstance;
use serde_json::{Value, json};

use crate::testing::World;

/// Three instances in two zones: `a` and `b` in x, `c` in y; `a` has the most room.
pub async fn world() -> World {
    let world = World::new();
    for (name, zone, memory_mib) in [("a", "x", 3_000), ("b", "x", 2_900), ("c", "y", 2_800)] {
        world.add_instance(
            name,
            4_096,
            memory_mib,
            &[("ecs.availability-zone", zone), ("name", name)],
        );
    }
    let changes = json!({
        "requiresCompatibilities": ["EC2"], "networkMode": "bridge", "cpu": "256", "memory": "256",
    });
    world.register("app", changes).await;
    world
}

/// The `name` attribute of the instances of tasks.
pub fn names(world: &World, tasks: &Value) -> String {
    let tables = world.store.snapshot();
    let name = |task: &Value| {
        let arn = task["containerInstanceArn"].as_str().unwrap();
        let id = arn.rsplit('/').next().unwrap();
        let row = tables.container_instances.iter().find(|row| row.id.as_str() == id).unwrap();
        let attribute = row.attributes.iter().find(|(name, _)| name == "name").unwrap();
        attribute.1.clone()
    };
    tasks.as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_names(world: &World, answer: &Value, expected: &str) {
    assert_eq!(names(world, &answer["tasks"]), expected, "{answer}");
}

async fn run(world: &World, count: u32, more: Value) -> Value {
    let mut input = json!({"taskDefinition": "app", "count": count});
    for (member, value) in more.as_object().unwrap() {
        input[member] = value.clone();
    }
    world.call("RunTask", input).await
}

#[tokio::test]
async fn run_task_obeys_strategies() {
    let zone = json!({"type": "spread", "field": "attribute:ecs.availability-zone"});
    for (strategy, expected) in [
        (json!([]), "a b c a"),
        (json!([{"type": "binpack", "field": "memory"}]), "c c c c"),
        (json!([{"type": "spread", "field": "host"}]), "a b c a"),
        (json!([zone]), "a c b c"),
        (json!([zone, {"type": "binpack", "field": "MEMORY"}]), "c b c b"),
    ] {
        let world = world().await;
        let answer = run(&world, 4, json!({"placementStrategy": strategy})).await;
        check_names(&world, &answer, expected);
    }
    let world = world().await;
    let answer = run(&world, 10, json!({"placementStrategy": [{"type": "random"}]})).await;
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn run_task_obeys_constraints() {
    let world = world().await;
    let member = |expression: &str| json!({"type": "memberOf", "expression": expression});
    let in_y = member("attribute:ecs.availability-zone == y");
    let answer = run(&world, 2, json!({"placementConstraints": [in_y]})).await;
    check_names(&world, &answer, "c c");
    let distinct = json!({"type": "distinctInstance"});
    let answer = run(&world, 4, json!({"placementConstraints": [distinct], "group": "db"})).await;
    check_names(&world, &answer, "a b c");
    let reasons: Vec<&str> = answer["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["DistinctInstance placement constraint unsatisfied."; 3]);
    assert!(
        answer["failures"][0]["arn"].as_str().unwrap().contains(":container-instance/default/")
    );
    // A stopped task takes no instance, one of another group neither.
    let stopped = json!({"task": answer["tasks"][1]["taskArn"]});
    world.call("StopTask", stopped).await;
    let distinct = json!([{"type": "distinctInstance"}]);
    let more = json!({"placementConstraints": distinct, "group": "db"});
    check_names(&world, &run(&world, 1, more).await, "b");
    let near = member("task:group == db and not(task:group == family:app)");
    check_names(&world, &run(&world, 1, json!({"placementConstraints": [near]})).await, "a");
    let nowhere = member("attribute:ecs.availability-zone == z");
    let answer = run(&world, 1, json!({"placementConstraints": [nowhere]})).await;
    assert_eq!(answer["tasks"], json!([]));
    let reason = "MemberOf placement constraint unsatisfied.";
    assert_eq!(answer["failures"][0]["reason"], reason);
}

#[tokio::test]
async fn the_constraints_of_a_definition_hold() {
    let world = world().await;
    let member = |expression: &str| json!({"type": "memberOf", "expression": expression});
    let changes = json!({
        "requiresCompatibilities": ["EC2"], "networkMode": "bridge", "cpu": "256", "memory": "256",
        "placementConstraints": [member("attribute:name != a")],
    });
    let answer = world.register("app", changes).await;
    let shown = &answer["taskDefinition"]["placementConstraints"];
    assert_eq!(*shown, json!([member("attribute:name != a")]));
    check_names(&world, &run(&world, 2, json!({})).await, "b c");
    let both = json!({"placementConstraints": [member("attribute:name != b")]});
    check_names(&world, &run(&world, 2, both).await, "c c");
    let ten = vec![member("attribute:name != b"); 10];
    let message =
        "A task can have at most 10 placement constraints, those of its task definition included.";
    let input = json!({"taskDefinition": "app", "placementConstraints": ten});
    world.refuses("RunTask", input, "InvalidParameterException", message).await;
}

#[tokio::test]
async fn services_keep_and_show_them() {
    let world = world().await;
    let strategy = json!([
        {"type": "spread", "field": "host"},
        {"type": "binpack", "field": "memory"},
        {"type": "random", "field": "anything"},
    ]);
    let constraints = json!([
        {"type": "distinctInstance"},
        {"type": "memberOf", "expression": "attribute:name exists"},
    ]);
    let input = json!({
        "serviceName": "web", "taskDefinition": "app", "desiredCount": 2,
        "placementStrategy": strategy, "placementConstraints": constraints,
    });
    let shown_strategy = json!([
        {"type": "spread", "field": "instanceId"},
        {"type": "binpack", "field": "MEMORY"},
        {"type": "random"},
    ]);
    let answer = world.call("CreateService", input).await;
    assert_eq!(answer["service"]["placementStrategy"], shown_strategy);
    assert_eq!(answer["service"]["placementConstraints"], constraints);
    // What is not named stays, and what is begins no deployment.
    let input = json!({"service": "web", "placementConstraints": []});
    let answer = world.call("UpdateService", input).await;
    assert_eq!(answer["service"]["placementConstraints"], json!([]));
    assert_eq!(answer["service"]["placementStrategy"], shown_strategy);
    assert_eq!(answer["service"]["deployments"].as_array().unwrap().len(), 1);
    let binpack = json!([{"type": "binpack", "field": "cpu"}]);
    let input = json!({"service": "web", "placementStrategy": binpack});
    let answer = world.call("UpdateService", input).await;
    let expected = json!([{"type": "binpack", "field": "CPU"}]);
    assert_eq!(answer["service"]["placementStrategy"], expected);
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let world = world().await;
    let service = json!({"serviceName": "web", "taskDefinition": "app", "desiredCount": 1});
    world.call("CreateService", service).await;
    let constraint = |constraint: Value| json!({"placementConstraints": [constraint]});
    let strategy = |strategy: Value| json!({"placementStrategy": [strategy]});
    let of = |expression: &str| constraint(json!({"type": "memberOf", "expression": expression}));
    let six = vec![json!({"type": "random"}); 6];
    let eleven = vec![json!({"type": "memberOf", "expression": "attribute:a exists"}); 11];
    for (more, message) in [
        (
            constraint(json!({"type": "distinctInstance", "expression": ""})),
            "distinctInstance expression should not be specified.",
        ),
        (constraint(json!({"type": "memberOf"})), "memberOf expression should be specified."),
        (of(""), "memberOf expression should be specified."),
        (of("nonsense"), "Invalid expression: unknown subject 'nonsense'."),
        (
            of("attribute:a == b and"),
            "Invalid expression: expected a subject at character 21, but found the end.",
        ),
        (constraint(json!({"expression": "a"})), "placementConstraints type must be specified."),
        (
            json!({"placementConstraints": eleven}),
            "A task can have at most 10 placement constraints, those of its task definition included.",
        ),
        (strategy(json!({"field": "cpu"})), "placementStrategy type must be specified."),
        (
            strategy(json!({"type": "spread"})),
            "Invalid field '' of the placement strategy spread: valid values are instanceId, host and attribute:NAME.",
        ),
        (
            strategy(json!({"type": "spread", "field": "attribute:"})),
            "Invalid field 'attribute:' of the placement strategy spread: valid values are instanceId, host and attribute:NAME.",
        ),
        (
            strategy(json!({"type": "binpack", "field": "gpu"})),
            "Invalid field 'gpu' of the placement strategy binpack: valid values are cpu and memory.",
        ),
        (json!({"placementStrategy": six}), "placementStrategy can have at most 5 items."),
    ] {
        let before = world.store.snapshot();
        for (operation, mut input) in [
            ("RunTask", json!({"taskDefinition": "app"})),
            (
                "CreateService",
                json!({"serviceName": "new", "taskDefinition": "app", "desiredCount": 1}),
            ),
            ("UpdateService", json!({"service": "web", "desiredCount": 3})),
        ] {
            for (member, value) in more.as_object().unwrap() {
                input[member] = value.clone();
            }
            world.refuses(operation, input, "InvalidParameterException", message).await;
        }
        let after = world.store.snapshot();
        assert_eq!(after.tasks.len(), before.tasks.len());
        assert!(after.services.iter().eq(before.services.iter()), "{more}");
    }
}

#[tokio::test]
async fn definitions_refuse_what_is_no_expression() {
    let world = world().await;
    let register = |constraint: Value| {
        json!({
            "family": "bad", "memory": "256", "placementConstraints": [constraint],
            "containerDefinitions": [{"name": "web", "image": "registry/app:1"}],
        })
    };
    for (constraint, message) in [
        (json!({"type": "memberOf"}), "memberOf expression should be specified."),
        (json!({"expression": "attribute:a exists"}), "constraint.type must be specified."),
        (
            json!({"type": "memberOf", "expression": "x y"}),
            "Invalid expression: unknown subject 'x'.",
        ),
    ] {
        let input = register(constraint);
        world.refuses("RegisterTaskDefinition", input, "ClientException", message).await;
    }
    let families = world.call("ListTaskDefinitionFamilies", json!({})).await;
    assert_eq!(families["families"], json!(["app"]));
}

/// The names of the instances that a filter lists.
async fn listed(world: &World, filter: &str) -> String {
    let answer = world.call("ListContainerInstances", json!({"filter": filter})).await;
    let arns = answer["containerInstanceArns"].as_array().unwrap();
    let as_tasks = arns.iter().map(|arn| json!({"containerInstanceArn": arn})).collect();
    let mut names: Vec<String> =
        names(world, &Value::Array(as_tasks)).split(' ').map(str::to_owned).collect();
    names.sort();
    names.join(" ")
}

#[tokio::test]
async fn instances_are_listed_by_a_filter() {
    let world = world().await;
    run(&world, 1, json!({"group": "db"})).await;
    for (filter, expected) in [
        ("", "a b c"),
        ("attribute:ecs.availability-zone == x", "a b"),
        ("task:group == db", "a"),
        ("not(task:group == db) and agentConnected == true", "b c"),
        ("runningTasksCount == 0", "a b c"),
        ("attribute:name in [b, c] && attribute:name !~ c|d", "b"),
        ("agentVersion >= 1.0", "a b c"),
        ("registeredAt > 2030-01-01", ""),
    ] {
        assert_eq!(listed(&world, filter).await, expected, "{filter}");
    }
    let page = json!({"filter": "attribute:ecs.availability-zone == x", "maxResults": 1});
    let first = world.call("ListContainerInstances", page.clone()).await;
    let mut next = page;
    next["nextToken"] = first["nextToken"].clone();
    let second = world.call("ListContainerInstances", next).await;
    assert_eq!(second["containerInstanceArns"].as_array().unwrap().len(), 1);
    assert_eq!(second["nextToken"], Value::Null);
    let message = "Invalid expression: unknown subject 'nonsense'.";
    let input = json!({"filter": "nonsense"});
    world.refuses("ListContainerInstances", input, "InvalidParameterException", message).await;
    let is_active = |row: &ContainerInstance| row.status.as_str() == "ACTIVE";
    assert!(world.store.snapshot().container_instances.iter().all(|row| is_active(row)));
}
