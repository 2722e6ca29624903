//! What is asked by a path, and what is answered.
//!
//! Source: the Amazon ECS agent, whose codes, messages and statuses these are, but for what it has no case for.

use outport_node_protocol::TaskCredentials;
use serde::Serialize;
use serde_json::{Value, json};

use super::metadata;

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    Credentials(&'a str),
    Metadata { version: Version, container: &'a str, what: What },
    NotBuilt(&'a str),
    Nothing,
    OtherMethod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V3,
    V4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Container,
    Task,
    TaskWithTags,
    Stats,
    TaskStats,
}

impl<'a> Asked<'a> {
    pub fn read(method: &http::Method, path: &'a str) -> Self {
        let mut parts = path.trim_start_matches('/').trim_end_matches('/').splitn(3, '/');
        let (first, id, rest) = (parts.next(), parts.next(), parts.next());
        let version = match first {
            Some("v2") => None,
            Some("v3") => Some(Version::V3),
            Some("v4") => Some(Version::V4),
            _ => return Self::Nothing,
        };
        if method != http::Method::GET {
            return Self::OtherMethod;
        }
        match (version, id, rest) {
            (None, Some("credentials"), Some(id)) => Self::Credentials(id),
            (Some(version), Some(container), what) => {
                let what = match what.unwrap_or_default() {
                    "" => What::Container,
                    "task" => What::Task,
                    "taskWithTags" => What::TaskWithTags,
                    "stats" => What::Stats,
                    "task/stats" => What::TaskStats,
                    other @ "associations" => return Self::NotBuilt(other),
                    _ => return Self::Nothing,
                };
                Self::Metadata { version, container, what }
            }
            _ => Self::Nothing,
        }
    }
}

/// A status and its JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string() }
    }

    pub fn found(body: &Value) -> Self {
        Self::json(200, body)
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            code: &'a str,
            message: &'a str,
            #[serde(rename = "HTTPErrorCode")]
            status: u16,
        }
        Self::json(status, &json!(Body { code, message, status }))
    }

    pub fn credentials(credentials: &TaskCredentials) -> Self {
        Self::json(
            200,
            &json!({
                "RoleArn": credentials.role_arn,
                "AccessKeyId": credentials.access_key_id,
                "SecretAccessKey": credentials.secret_access_key,
                "Token": credentials.session_token,
                "Expiration": metadata::time(credentials.expires_at_ms),
            }),
        )
    }

    /// The same for an id that is none and for one of another task.
    pub fn no_such_credentials() -> Self {
        Self::error(400, "InvalidIdInRequest", "CredentialsV2Request: Credentials not found")
    }

    pub fn no_credentials_yet() -> Self {
        let text = "CredentialsV2Request: Credentials uninitialized for ID";
        Self::error(503, "CredentialsUninitialized", text)
    }

    /// With the reason, which the agent does not know.
    pub fn no_credentials(reason: &str) -> Self {
        Self::error(500, "InternalServerError", &format!("CredentialsV2Request: {reason}"))
    }

    pub fn no_such_container() -> Self {
        Self::json(404, &json!("unable to find the container of this request"))
    }

    pub fn not_built(what: &str) -> Self {
        Self::json(404, &json!(format!("{what} is not supported by this version of Outport")))
    }

    pub fn not_found() -> Self {
        Self::json(404, &json!("404 page not found"))
    }

    pub fn other_method() -> Self {
        Self::json(405, &json!("only GET is supported"))
    }

    /// Source: tollbooth, the limiter of the agent.
    pub fn too_many() -> Self {
        Self::json(429, &json!("You have reached maximum request limit."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Asked<'_>) {
        assert_eq!(Asked::read(&http::Method::GET, path), expected, "{path}");
    }

    #[test]
    fn paths() {
        let metadata = |version, what| Asked::Metadata { version, container: "c", what };
        check("/v2/credentials/id", Asked::Credentials("id"));
        check("/v2/credentials", Asked::Nothing);
        check("/v2/credentials/id/more", Asked::Credentials("id/more"));
        check("/v4/c", metadata(Version::V4, What::Container));
        check("/v4/c/", metadata(Version::V4, What::Container));
        check("/v4/c/task", metadata(Version::V4, What::Task));
        check("/v3/c/task", metadata(Version::V3, What::Task));
        check("/v4/c/stats", metadata(Version::V4, What::Stats));
        check("/v4/c/task/stats", metadata(Version::V4, What::TaskStats));
        check("/v4/c/taskWithTags", metadata(Version::V4, What::TaskWithTags));
        check("/v3/c/taskWithTags", metadata(Version::V3, What::TaskWithTags));
        check("/v4/c/associations", Asked::NotBuilt("associations"));
        for path in ["", "/", "/v1/credentials/id", "/v4", "/v4/c/other", "/latest/meta-data"] {
            check(path, Asked::Nothing);
        }
        let put = Asked::read(&http::Method::PUT, "/v4/c/task");
        assert_eq!(put, Asked::OtherMethod);
    }

    #[test]
    fn errors_are_the_agents() {
        let Answer { status, body } = Answer::no_such_credentials();
        let read: Value = serde_json::from_str(&body).unwrap();
        let text = "CredentialsV2Request: Credentials not found";
        let expected = json!({"code": "InvalidIdInRequest", "message": text, "HTTPErrorCode": 400});
        assert_eq!((status, read), (400, expected));
    }
}
