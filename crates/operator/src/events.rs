//! `outport events`: what services say of their deployments, and how tasks ended, in the order in which it happened.

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::json;

use crate::api::Api;
use crate::find;
use crate::moment::clock;
use crate::ps::why_it_stopped;
use crate::table::{Shape, json as as_json, table};
use crate::value::{list, name_of, text, time_ms};

#[derive(Debug, Default)]
pub struct EventsOptions {
    /// Only of this cluster.
    pub cluster: Option<String>,
    /// Only of this service.
    pub service: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    /// Milliseconds since 1970.
    at_ms: i64,
    cluster: String,
    /// `service web`, `task 4f2a…`.
    subject: String,
    message: String,
}

/// What `outport events` prints, the newest last.
///
/// # Errors
/// When the API cannot be asked, or refuses.
pub async fn events(api: &Api, options: &EventsOptions, shape: Shape) -> Result<String> {
    let wanted = options.service.as_deref();
    let mut events = Vec::new();
    let mut is_known = false;
    for cluster in find::clusters(api, options.cluster.as_deref()).await? {
        let of = |at_ms, subject: String, message: &str| Event {
            at_ms,
            cluster: name_of(&cluster).to_owned(),
            subject,
            message: message.to_owned(),
        };
        let services = find::services(api, &cluster).await?;
        // A cluster without the service would refuse to list its tasks.
        let has_it = |wanted| services.iter().any(|one| text(one, "serviceName") == wanted);
        if !wanted.is_none_or(has_it) {
            continue;
        }
        is_known = true;
        for service in &services {
            let name = text(service, "serviceName");
            if wanted.is_some_and(|wanted| wanted != name) {
                continue;
            }
            for event in list(service, "events") {
                let at_ms = time_ms(event, "createdAt").unwrap_or_default();
                // AWS begins each with the service's name.
                let message = text(event, "message");
                let message =
                    message.strip_prefix(&format!("(service {name}) ")).unwrap_or(message);
                events.push(of(at_ms, format!("service {name}"), message));
            }
        }
        let mut filter = json!({ "desiredStatus": "STOPPED" });
        if let Some(service) = wanted {
            filter["serviceName"] = json!(service);
        }
        for task in find::tasks(api, &cluster, filter).await? {
            let at_ms = time_ms(&task, "stoppedAt").or_else(|| time_ms(&task, "stoppingAt"));
            let subject = format!("task {}", name_of(text(&task, "taskArn")));
            events.push(of(at_ms.unwrap_or_default(), subject, &why_it_stopped(&task)));
        }
    }
    if let Some(service) = wanted
        && !is_known
    {
        bail!("there is no service {service}: `outport status` shows those that there are");
    }
    events.sort();
    if shape.is_json {
        return as_json(&events);
    }
    let rows: Vec<Vec<String>> = events
        .into_iter()
        .map(|event| vec![clock(event.at_ms), event.cluster, event.subject, event.message])
        .collect();
    Ok(table(shape, &["TIME (UTC)", "CLUSTER", "OF", "WHAT"], &rows))
}
