//! Lists: tags, repositories and referrers, with `n`, `last` and a `Link` to the next page.

use axum::response::Response;
use form_urlencoded::byte_serialize;
use http::request::Parts;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use super::Exchange;
use super::endpoint::digest;
use super::reply::{self, OCI_FILTERS_APPLIED, Refusal};
use super::uploads::Query;
use crate::{Digest, ImageDetail, MediaType, RepositoryName};

/// The longest page of names, and the page of a client that does not say.
const NAMES_PER_PAGE_MAX: usize = 1_000;
/// The longest page of referrers: with their annotations, it stays below the size of a manifest.
const REFERRERS_PER_PAGE_MAX: usize = 200;

pub(crate) async fn tags(
    exchange: &Exchange,
    name: RepositoryName,
    request: &Parts,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&["ecr:ListImages"], &name).await?;
    let page = Page::parse(request)?;
    let (repository, last, count) = (name.clone(), page.last.clone(), page.count);
    let tags = permitted
        .blocking(move |registry, scope| {
            // A page of no tags still says whether the repository exists.
            registry.list_tags(scope, &repository, &last, count + 1)
        })
        .await?;
    let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
    let (tags, next) = page.cut(tags);
    let mut response = reply::json(&json!({ "name": name.as_str(), "tags": tags }));
    link(&mut response, &format!("/v2/{name}/tags/list"), page.count, next.as_deref());
    Ok(response)
}

pub(crate) async fn catalog(exchange: &Exchange, request: &Parts) -> Result<Response, Refusal> {
    let permitted = exchange.authorize_for_all("ecr:DescribeRepositories")?;
    let page = Page::parse(request)?;
    let (last, count) = (page.last.clone(), page.count);
    let found = permitted
        .blocking(move |registry, scope| registry.repositories(scope, Some(&last), count + 1))
        .await?;
    let names = found.iter().map(|repository| repository.name.to_string()).collect();
    let (names, next) = page.cut(names);
    let mut response = reply::json(&json!({ "repositories": names }));
    link(&mut response, "/v2/_catalog", page.count, next.as_deref());
    Ok(response)
}

/// Source: OCI distribution 1.1, "Listing Referrers". An unknown subject has no referrers.
pub(crate) async fn referrers(
    exchange: &Exchange,
    name: RepositoryName,
    subject: Digest,
    request: &Parts,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&["ecr:BatchGetImage"], &name).await?;
    let query = Query::parse(request);
    let artifact_type = query.get("artifactType").map(str::to_owned);
    let after = query.get("last").map(digest).transpose()?;
    let (repository, of, wanted) = (name.clone(), subject.clone(), artifact_type.clone());
    let mut found = permitted
        .blocking(move |registry, scope| {
            let count_max = REFERRERS_PER_PAGE_MAX + 1;
            registry.referrers(
                scope,
                &repository,
                &of,
                wanted.as_deref(),
                after.as_ref(),
                count_max,
            )
        })
        .await?;
    let more = found.len() > REFERRERS_PER_PAGE_MAX;
    found.truncate(REFERRERS_PER_PAGE_MAX);
    let manifests: Vec<Value> = found.iter().map(descriptor).collect();
    let mut response = reply::json(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciIndex.as_str(),
        "manifests": manifests,
    }));
    let index = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    response.headers_mut().insert(header::CONTENT_TYPE, index);
    if artifact_type.is_some() {
        reply::set(&mut response, OCI_FILTERS_APPLIED, "artifactType");
    }
    if let (true, Some(last)) = (more, found.last()) {
        let filter = artifact_type.map(|text| format!("&artifactType={}", encode(&text)));
        let filter = filter.unwrap_or_default();
        let last = encode(&last.digest.to_string());
        let next = format!("</v2/{name}/referrers/{subject}?last={last}{filter}>; rel=\"next\"");
        reply::set(&mut response, header::LINK, &next);
    }
    Ok(response)
}

fn descriptor(image: &ImageDetail) -> Value {
    let mut descriptor = Map::new();
    descriptor.insert("mediaType".into(), image.media_type.as_str().into());
    descriptor.insert("digest".into(), image.digest.to_string().into());
    descriptor.insert("size".into(), image.manifest_bytes.into());
    if let Some(artifact_type) = &image.artifact_type {
        descriptor.insert("artifactType".into(), artifact_type.as_str().into());
    }
    if let Some(annotations) = &image.annotations {
        descriptor.insert("annotations".into(), annotations.clone());
    }
    Value::Object(descriptor)
}

struct Page {
    count: usize,
    last: String,
}

impl Page {
    fn parse(request: &Parts) -> Result<Self, Refusal> {
        let query = Query::parse(request);
        let count = match query.get("n") {
            None => NAMES_PER_PAGE_MAX,
            Some(text) => match text.parse::<usize>() {
                Ok(count) => count.min(NAMES_PER_PAGE_MAX),
                Err(_) => return Err(Refusal::page_invalid(format!("invalid n {text:?}"))),
            },
        };
        Ok(Self { count, last: query.get("last").unwrap_or_default().to_owned() })
    }

    /// Cuts one more than a page down to a page, and says where the next one starts, if there is one.
    fn cut(&self, mut names: Vec<String>) -> (Vec<String>, Option<String>) {
        let more = names.len() > self.count;
        names.truncate(self.count);
        let next = if more { names.last().cloned() } else { None };
        (names, next)
    }
}

fn link(response: &mut Response, path: &str, count: usize, next: Option<&str>) {
    if let Some(last) = next {
        let target = format!("<{path}?n={count}&last={}>; rel=\"next\"", encode(last));
        reply::set(response, header::LINK, &target);
    }
}

fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
