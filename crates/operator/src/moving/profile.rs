//! Where the account is that is read: an endpoint, and a profile of the AWS CLI or the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::account::Account;
use super::names::is_region;

/// A file of profiles is far below this.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the command line says of it.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// All services answer at this URL, instead of each at AWS's.
    pub endpoint: Option<String>,
    /// Of `~/.aws/credentials` and `~/.aws/config`; the environment unless given.
    pub profile: Option<String>,
    pub region: Option<String>,
}

/// Members of a profile by which the credentials are not in the file, and would have to be asked for.
const ELSEWHERE: [&str; 6] = [
    "role_arn",
    "source_profile",
    "credential_process",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
];

#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    region: Option<String>,
    /// Of a profile: all services answer there. Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
    endpoint_url: Option<String>,
}

/// The account that is read.
///
/// # Errors
/// When there are no credentials, or no region.
pub fn source(options: &SourceOptions) -> Result<Account> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = |name: &str, usual: &str| -> Result<String> {
        let home = variable("HOME").unwrap_or_default();
        let path = variable(name).map_or_else(|| PathBuf::from(home).join(usual), PathBuf::from);
        read(&path)
    };
    let credentials = match &options.profile {
        Some(profile) => {
            let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?;
            let config = file("AWS_CONFIG_FILE", ".aws/config")?;
            of_profile(profile, &credentials, &config)?
        }
        None => of_environment(variable)?,
    };
    let endpoint = options.endpoint.clone().or(credentials.endpoint_url);
    let region = options.region.clone().or(credentials.region).or_else(|| variable("AWS_REGION"));
    let region = region.or_else(|| variable("AWS_DEFAULT_REGION"));
    let region = region.context("which region is read? Say --region, or set it in the profile")?;
    if !is_region(&region) {
        bail!("{region:?} is no region");
    }
    // Beside an Outport's endpoint it is that Outport's, and no authority for AWS.
    let is_outports = endpoint.is_none() && variable("AWS_ENDPOINT_URL").is_some();
    let authority = variable("AWS_CA_BUNDLE").filter(|_| !is_outports).map(PathBuf::from);
    Account::new(endpoint.as_deref(), |url| crate::Endpoint {
        url,
        region: region.clone(),
        access_key_id: credentials.access_key_id.clone(),
        secret_access_key: credentials.secret_access_key.clone(),
        session_token: credentials.session_token.clone(),
        authority: authority.clone(),
    })
}

fn read(path: &std::path::Path) -> Result<String> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => bail!("{} is too long", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        _ => {}
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Credentials> {
    let needed = |name: &str| {
        variable(name).with_context(|| format!("say --profile, or set {name} for what is read"))
    };
    Ok(Credentials {
        access_key_id: needed("AWS_ACCESS_KEY_ID")?,
        secret_access_key: needed("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN"),
        region: None,
        endpoint_url: None,
    })
}

/// The file of credentials comes before that of the configuration. Source: AWS CLI User Guide, "Configuration and
/// credential file settings".
fn of_profile(profile: &str, credentials: &str, config: &str) -> Result<Credentials> {
    let in_config = match profile {
        "default" => section(config, "default"),
        _ => section(config, &format!("profile {profile}")),
    };
    let in_credentials = section(credentials, profile);
    if in_config.is_none() && in_credentials.is_none() {
        bail!("there is no profile {profile:?} in ~/.aws/credentials and ~/.aws/config");
    }
    let mut values = in_config.unwrap_or_default();
    values.extend(in_credentials.unwrap_or_default());
    let key = |name: &str| values.get(name).cloned().filter(|value| !value.is_empty());
    // Where there is a role, keys beside it are only those that it is assumed with.
    let own = |name: &str| key(name).filter(|_| !values.contains_key("role_arn"));
    let (Some(access_key_id), Some(secret_access_key)) =
        (own("aws_access_key_id"), own("aws_secret_access_key"))
    else {
        let why = match ELSEWHERE.iter().find(|name| values.contains_key(**name)) {
            Some(name) => format!("gets its keys by {name}"),
            None => "has no keys".to_owned(),
        };
        bail!(
            "profile {profile:?} {why}: `aws configure export-credentials --profile {profile} --format env` prints \
             them for the environment; then say --region instead of --profile"
        );
    };
    let session_token = key("aws_session_token");
    let (region, endpoint_url) = (key("region"), key("endpoint_url"));
    Ok(Credentials { access_key_id, secret_access_key, session_token, region, endpoint_url })
}

/// The values of a section; `None` when it is not there. Indented lines belong to the value above and are not read.
fn section(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let mut found = None;
    let mut is_inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || trimmed.is_empty() {
            continue;
        }
        if let Some(header) = trimmed.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            let words: Vec<&str> = header.split_whitespace().collect();
            is_inside = words.join(" ").replace(['"', '\''], "") == name;
            if is_inside {
                found.get_or_insert_with(BTreeMap::new);
            }
        } else if is_inside
            && !line.starts_with([' ', '\t'])
            && let Some((key, value)) = trimmed.split_once('=')
        {
            let values: &mut BTreeMap<String, String> = found.get_or_insert_default();
            values.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "\
# of mine
[default]
aws_access_key_id = A
aws_secret_access_key=S=/+
[dev]
aws_access_key_id = D
aws_secret_access_key = T
aws_session_token = U
region = eu-west-1
";
    const CONFIG: &str = "\
[default]
region = us-east-2
s3 =
  region = nowhere
[profile dev]
region = us-west-1
endpoint_url = http://127.0.0.1:4566
[ profile  \"admin\" ]
role_arn = arn:aws:iam::111111111111:role/admin
aws_access_key_id = N
aws_secret_access_key = N
[profile sso]
sso_session = mine
[profile empty]
";

    #[track_caller]
    fn check(profile: &str, expected: Result<(&str, &str, Option<&str>, &str), &str>) {
        let found = of_profile(profile, CREDENTIALS, CONFIG);
        match (found, expected) {
            (Ok(found), Ok((id, secret, token, region))) => {
                assert_eq!((&*found.access_key_id, &*found.secret_access_key), (id, secret));
                assert_eq!(
                    (found.session_token.as_deref(), found.region.as_deref()),
                    (token, Some(region))
                );
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (found, _) => panic!("{profile}: {found:?}"),
        }
    }

    #[test]
    fn a_profile_has_its_keys_in_either_file_or_is_refused_by_what_it_would_take() {
        check("default", Ok(("A", "S=/+", None, "us-east-2")));
        check("dev", Ok(("D", "T", Some("U"), "eu-west-1")));
        check("admin", Err("by role_arn: `aws configure export-credentials --profile admin"));
        check("sso", Err("by sso_session"));
        check("empty", Err("has no keys"));
        check("other", Err("no profile \"other\""));
    }

    #[test]
    fn a_profile_may_say_where_its_services_answer() {
        let endpoint = |profile| of_profile(profile, CREDENTIALS, CONFIG).unwrap().endpoint_url;
        assert_eq!(endpoint("dev").as_deref(), Some("http://127.0.0.1:4566"));
        assert_eq!(endpoint("default"), None);
    }
}
