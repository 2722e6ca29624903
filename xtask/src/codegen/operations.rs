//! The service model, the handler trait and the dispatcher.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::facts::{Facts, OperationFacts};
use super::names;

/// `model.rs`: the [`ServiceModel`](outport_aws_wire::ServiceModel).
pub fn model(facts: &Facts) -> Result<String> {
    let mut protocols = Vec::new();
    for protocol in facts.protocols() {
        protocols.push(match protocol {
            "json" if facts.metadata("jsonVersion") == "1.0" => "Protocol::Json10",
            "json" => "Protocol::Json11",
            "query" => "Protocol::Query",
            "ec2" => "Protocol::Ec2",
            "smithy-rpc-v2-cbor" => "Protocol::Cbor",
            other => bail!("the protocol {other} is not supported"),
        });
    }
    let signing_name = match facts.metadata("signingName") {
        "" => facts.metadata("endpointPrefix").trim_start_matches("api."),
        name => name,
    };
    let mut text = String::from("/// Amazon's description of this service, for routing.\n");
    let _ = writeln!(text, "pub static MODEL: ServiceModel = ServiceModel {{");
    let _ = writeln!(text, "    name: {:?},", facts.choice.service);
    let _ = writeln!(text, "    service_id: {:?},", facts.metadata("serviceId"));
    let _ = writeln!(text, "    full_name: {:?},", facts.metadata("serviceFullName"));
    let _ = writeln!(text, "    signing_name: {signing_name:?},");
    let _ = writeln!(text, "    target_prefix: {:?},", facts.metadata("targetPrefix"));
    let _ = writeln!(text, "    api_version: {:?},", facts.metadata("apiVersion"));
    let _ = writeln!(text, "    xml_namespace: {:?},", facts.metadata("xmlNamespace"));
    let _ = writeln!(text, "    namespace: {:?},", facts.choice.namespace);
    let _ = writeln!(text, "    protocols: &[{}],", protocols.join(", "));
    let _ =
        writeln!(text, "    is_query_compatible: {},", facts.has_metadata("awsQueryCompatible"));
    text.push_str(
        "    operations: &OPERATIONS,\n    refuse_input: crate::refusal::refuse_input,\n};\n\n",
    );
    let operations = facts.operations();
    let _ = writeln!(text, "static OPERATIONS: [OperationModel; {}] = [", operations.len());
    for operation in operations {
        let _ = writeln!(
            text,
            "    OperationModel {{ name: {:?}, is_implemented: {}, result_wrapper: {:?}, is_anonymous: {} }},",
            operation.name,
            facts.is_implemented(operation.name),
            operation.result_wrapper(),
            operation.is_anonymous()
        );
    }
    text.push_str("];\n");
    Ok(text)
}

/// `operations.rs`: one method per implemented operation, and the match that calls it.
pub fn operations(facts: &Facts) -> Result<String> {
    let prefix = &facts.choice.prefix;
    let implemented = facts.implemented();
    let mut text = format!(
        "/// The implemented operations of {}. `C` is what the front door knows of a call.\n",
        facts.metadata("serviceFullName")
    );
    let _ = writeln!(text, "pub trait {prefix}Handler<C: Sync>: Send + Sync {{");
    for operation in &implemented {
        let _ = writeln!(
            text,
            "    fn {}(&self, call: &C, input: {}) -> impl Future<Output = Result<{}, {prefix}Error>> + Send;",
            names::field(operation.name),
            shape_type(*operation, true)?,
            shape_type(*operation, false)?
        );
    }
    text.push_str("}\n\n");
    let (handler, call, exchange) = if implemented.is_empty() {
        ("_handler", "_call", "_exchange")
    } else {
        ("handler", "call", "exchange")
    };
    text.push_str(
        "/// Reads the input, calls the handler's method for `operation` and writes its output.\n",
    );
    let _ = writeln!(text, "pub async fn dispatch<C: Sync, H: {prefix}Handler<C>>(");
    let _ = writeln!(text, "    {handler}: &H,\n    {call}: &C,\n    operation: &str,");
    let _ = writeln!(text, "    {exchange}: &mut Exchange<'_>,\n) -> Result<(), WireError> {{");
    if implemented.is_empty() {
        text.push_str("    Err(super::MODEL.refuse_operation(operation))\n}\n");
        return Ok(text);
    }
    text.push_str("    match operation {\n");
    for operation in &implemented {
        // Boxed, so that the caller's future is not as large as the largest of the handlers' futures.
        let _ = writeln!(
            text,
            "        {:?} => {{ let output = Box::pin(handler.{}(call, exchange.read()?)).await?; exchange.write(&output); }}",
            operation.name,
            names::field(operation.name)
        );
    }
    text.push_str("        _ => return Err(super::MODEL.refuse_operation(operation)),\n    }\n    Ok(())\n}\n");
    Ok(text)
}

fn shape_type(operation: OperationFacts<'_>, is_input: bool) -> Result<String> {
    let shape = if is_input { operation.input() } else { operation.output() };
    shape.map_or_else(|| Ok("()".to_owned()), names::type_name)
}
