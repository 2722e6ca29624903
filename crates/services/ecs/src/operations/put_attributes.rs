//! `PutAttributes`: names, with or without a value, on container instances.

use outport_aws_ecs::{PutAttributesRequest, PutAttributesResponse};
use outport_identity::Call;
use outport_store::Tables;

use crate::attribute::{self, ATTRIBUTES_PER_INSTANCE_MAX};
use crate::{EcsService, Rejection, access, lookup, names};

pub async fn put_attributes(
    service: &EcsService,
    call: &Call,
    input: PutAttributesRequest,
) -> Result<PutAttributesResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let asked = attribute::parse(&scope, &cluster, input.attributes)?;
    let ask =
        |tables: &Tables| attribute::ask(tables, "ecs:PutAttributes", &scope, &cluster, &asked);
    service
        .store
        .write(call, ask, |tx, ()| {
            lookup::active_cluster(tx, &scope, &cluster)?;
            let mut shown = Vec::new();
            for one in &asked {
                let mut row = attribute::target(tx, &scope, &cluster, &one.instance)?;
                row.attributes.retain(|(name, _)| *name != one.name);
                row.attributes.push((one.name.clone(), one.value.clone()));
                row.attributes.sort();
                if attribute::custom_count(&row) > ATTRIBUTES_PER_INSTANCE_MAX {
                    return Err(Rejection::AttributeLimitExceeded);
                }
                row.version += 1;
                shown.push(attribute::view(&row, &one.name, &one.value));
                tx.put(row);
            }
            Ok(PutAttributesResponse { attributes: Some(shown) })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::World;

    async fn instance(world: &World) -> String {
        let listed = world.call("ListContainerInstances", json!({})).await;
        listed["containerInstanceArns"][0].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn attributes_are_put_listed_and_deleted() {
        let world = World::with_node(1024, 1024);
        let arn = instance(&world).await;
        let id = arn.rsplit('/').next().unwrap();
        let input = json!({"attributes": [
            {"name": "stack", "value": "production", "targetId": id, "targetType": "container-instance"},
            {"name": "flag", "targetId": arn},
        ]});
        let shown = json!({"attributes": [
            {"name": "stack", "value": "production", "targetId": arn},
            {"name": "flag", "targetId": arn},
        ]});
        assert_eq!(world.call("PutAttributes", input).await, shown);
        let changed = json!({"attributes": [{"name": "stack", "value": "test", "targetId": arn}]});
        world.call("PutAttributes", changed).await;
        let described = json!({"containerInstances": [id]});
        let described = world.call("DescribeContainerInstances", described).await;
        assert_eq!(
            described["containerInstances"][0]["attributes"],
            json!([
                {"name": "ecs.os-type", "value": "linux"},
                {"name": "flag"},
                {"name": "stack", "value": "test"},
            ])
        );
        let list = |filter: Value| {
            let mut input = json!({"targetType": "container-instance"});
            for (name, value) in filter.as_object().unwrap() {
                input[name] = value.clone();
            }
            world.call("ListAttributes", input)
        };
        let all = list(json!({})).await;
        assert_eq!(all["attributes"].as_array().unwrap().len(), 3);
        let stack = json!([{"name": "stack", "value": "test", "targetId": arn}]);
        assert_eq!(list(json!({"attributeName": "stack"})).await["attributes"], stack);
        let filter = json!({"attributeName": "stack", "attributeValue": "test"});
        assert_eq!(list(filter).await["attributes"], stack);
        let filter = json!({"attributeName": "stack", "attributeValue": "production"});
        assert_eq!(list(filter).await["attributes"], json!([]));
        let page = list(json!({"maxResults": 2})).await;
        let next = list(json!({"maxResults": 2, "nextToken": page["nextToken"]})).await;
        assert_eq!((next["attributes"].clone(), &next["nextToken"]), (stack.clone(), &Value::Null));
        let gone = json!({"attributes": [{"name": "stack", "targetId": arn}]});
        assert_eq!(world.call("DeleteAttributes", gone).await["attributes"], stack);
        assert_eq!(list(json!({"attributeName": "stack"})).await["attributes"], json!([]));
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::with_node(1024, 1024);
        let arn = instance(&world).await;
        let one = |changes: Value| {
            let mut attribute = json!({"name": "a", "value": "b", "targetId": arn});
            for (name, value) in changes.as_object().unwrap() {
                attribute[name] = value.clone();
            }
            json!({"attributes": [attribute]})
        };
        let other = "0123456789abcdef0123456789abcdee";
        let invalid = "InvalidParameterException";
        for (input, exception, message) in [
            (json!({"attributes": []}), invalid, "attributes can not be empty".to_owned()),
            (
                json!({"attributes": vec![json!({"name": "a", "targetId": arn}); 11]}),
                invalid,
                "attributes can have at most 10 items.".to_owned(),
            ),
            (one(json!({"name": "a b"})), invalid, "Invalid attribute name 'a b'.".to_owned()),
            (
                one(json!({"name": "ecs.os-type"})),
                invalid,
                "Invalid attribute name 'ecs.os-type'.".to_owned(),
            ),
            (one(json!({"value": " b"})), invalid, "Invalid attribute value ' b'.".to_owned()),
            (one(json!({"targetId": ""})), invalid, "targetId can not be empty".to_owned()),
            (
                one(json!({"targetId": other})),
                "TargetNotFoundException",
                format!("Could not find {other}"),
            ),
        ] {
            world.refuses("PutAttributes", input, exception, &message).await;
        }
        let many: Vec<Value> =
            (0..10).map(|number| json!({"name": format!("n{number}"), "targetId": arn})).collect();
        world.call("PutAttributes", json!({"attributes": many})).await;
        let message = "You can apply up to 10 custom attributes for each resource.";
        let exceeded = "AttributeLimitExceededException";
        world.refuses("PutAttributes", one(json!({})), exceeded, message).await;
        world.call("PutAttributes", one(json!({"name": "n3"}))).await;
        let input = json!({"cluster": "none", "attributes": [{"name": "a", "targetId": other}]});
        world
            .refuses("PutAttributes", input, "ClusterNotFoundException", "Cluster not found.")
            .await;
    }
}
