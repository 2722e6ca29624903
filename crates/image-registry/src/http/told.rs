//! What is told of a request to who writes down what happened: in the words of ECR's API, by which the request's permission is asked.
//!
//! **Invariant:** one push or pull is some events a layer, whatever the number of its chunks: of parts, and of looks whether a blob is there, only
//! what is denied is told.

use http::request::Parts;
use http::{Method, header};
use outport_model::Scope;
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::reply::Refusal;
use super::uploads::Query;
use crate::{EndedRequest, ImageSelector};

/// What a request is, before it is answered.
pub(crate) struct Told {
    operation: &'static str,
    is_read_only: bool,
    /// Told only when it is denied.
    is_many: bool,
    parameters: Value,
}

impl Told {
    /// `None`: it is about nothing.
    pub(crate) fn of(scope: &Scope, endpoint: &Endpoint, request: &Parts) -> Option<Self> {
        let method = &request.method;
        let registry_id = scope.account.as_str();
        let of = |operation, is_read_only, is_many, parameters: Value| {
            let mut parameters = parameters;
            parameters["registryId"] = registry_id.into();
            Some(Self { operation, is_read_only, is_many, parameters })
        };
        match endpoint {
            Endpoint::Base => None,
            Endpoint::Catalog => of("DescribeRepositories", true, false, json!({})),
            Endpoint::Tags(name) => {
                of("ListImages", true, false, json!({ "repositoryName": name.as_str() }))
            }
            Endpoint::Referrers(name, subject) => {
                let subject = json!({ "imageDigest": subject.to_string() });
                let parameters = json!({ "repositoryName": name.as_str(), "subjectId": subject });
                of("ListImageReferrers", true, false, parameters)
            }
            Endpoint::Manifest(name, reference) => {
                let (name, id) = (name.as_str(), image_id(reference));
                match *method {
                    Method::PUT => {
                        let mut parameters = id;
                        parameters["repositoryName"] = name.into();
                        of("PutImage", false, false, parameters)
                    }
                    Method::DELETE => {
                        let parameters = json!({ "repositoryName": name, "imageIds": [id] });
                        of("BatchDeleteImage", false, false, parameters)
                    }
                    _ => {
                        let parameters = json!({ "repositoryName": name, "imageIds": [id] });
                        of("BatchGetImage", true, false, parameters)
                    }
                }
            }
            Endpoint::Blob(name, digest) => {
                let (name, digest) = (name.as_str(), digest.to_string());
                match *method {
                    Method::GET => {
                        let parameters = json!({ "repositoryName": name, "layerDigest": digest });
                        of("GetDownloadUrlForLayer", true, is_continued(request), parameters)
                    }
                    Method::DELETE => {
                        let parameters = json!({ "repositoryName": name, "layerDigest": digest });
                        of("BatchDeleteImage", false, false, parameters)
                    }
                    _ => {
                        let parameters =
                            json!({ "repositoryName": name, "layerDigests": [digest] });
                        of("BatchCheckLayerAvailability", true, true, parameters)
                    }
                }
            }
            Endpoint::Uploads(name) => {
                let query = Query::parse(request);
                let mut parameters = json!({ "repositoryName": name.as_str() });
                if let Some(digest) = query.get("digest") {
                    parameters["layerDigests"] = json!([digest]);
                    return of("CompleteLayerUpload", false, false, parameters);
                }
                of("InitiateLayerUpload", false, false, parameters)
            }
            Endpoint::Upload(name, id) => {
                let mut parameters =
                    json!({ "repositoryName": name.as_str(), "uploadId": id.to_string() });
                if *method != Method::PUT {
                    return of("UploadLayerPart", false, true, parameters);
                }
                if let Some(digest) = Query::parse(request).get("digest") {
                    parameters["layerDigests"] = json!([digest]);
                }
                of("CompleteLayerUpload", false, false, parameters)
            }
        }
    }

    /// `None`: it is not told.
    pub(crate) fn ended(self, refusal: Option<&Refusal>) -> Option<EndedRequest> {
        if self.is_many && !refusal.is_some_and(Refusal::is_denied) {
            return None;
        }
        let Self { operation, is_read_only, parameters, .. } = self;
        let error = refusal.map(Refusal::exception);
        Some(EndedRequest { operation, is_read_only, parameters: parameters.to_string(), error })
    }
}

fn image_id(reference: &ImageSelector) -> Value {
    match reference {
        ImageSelector::Tag(tag) => json!({ "imageTag": tag.as_str() }),
        ImageSelector::Digest(digest) => json!({ "imageDigest": digest.to_string() }),
        ImageSelector::TagAndDigest(tag, digest) => {
            json!({ "imageTag": tag.as_str(), "imageDigest": digest.to_string() })
        }
    }
}

/// Whether it asks for what comes after the beginning, as who goes on with a download does.
fn is_continued(request: &Parts) -> bool {
    let range = request.headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| !range.trim().starts_with("bytes=0-"))
}
