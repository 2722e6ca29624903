//! `outport env`: lines for `eval "$(outport env)"`, and the same for other shells, files and CI systems.

use anyhow::{Context, Result};
use outport_certificates::authority_file;
use serde_json::Value;

use crate::command_line::{Ca, Env, EnvFormat};
use crate::data_dir::{DataDir, Endpoint};
use crate::output;

pub fn print(options: &Env) -> Result<()> {
    let data_dir = &options.data_dir.data_dir;
    let mut endpoint = DataDir::published(data_dir)?;
    if !DataDir::is_in_use(data_dir) {
        // Beside the lines, which a script may want before it starts one.
        output::complain(format_args!(
            "no Outport runs with {} now: {} is where the last one was; start one with: outport up --data-dir {}",
            data_dir.display(),
            endpoint.url,
            data_dir.display()
        ));
    }
    if options.https {
        endpoint.url = endpoint
            .https_url
            .clone()
            .context("the last Outport of this data directory did not speak TLS: start it again")?;
    }
    if options.format == EnvFormat::Github {
        // Of a step's standard error, too, the runner takes commands; standard output is the file of the environment.
        output::aside(&mask(&endpoint));
    }
    output::answer(&lines(&endpoint, options.format, options.services)).context("cannot print")
}

/// `outport ca`: the authority's certificate, for whoever keeps trust in a place of its own.
pub fn print_authority(options: &Ca) -> Result<()> {
    let file = authority_file(&options.data_dir.data_dir.join("tls"));
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("cannot read {}: start `outport up` or `outport server` first", file.display())
    })?;
    output::answer(&text).context("cannot print")
}

/// The variables of AWS's tools and SDKs, in the order in which they are printed. With `by_service` the endpoint is that of
/// the services that are answered here alone, so that another emulator can stand beside for the rest (AWS SDKs and Tools
/// Reference Guide, "Service-specific endpoints").
pub fn variables(endpoint: &Endpoint, by_service: bool) -> Vec<(String, String)> {
    const SERVICES: [&str; 11] = [
        "ECS",
        "ECR",
        "EC2",
        "CLOUDWATCH_LOGS",
        "STS",
        "IAM",
        "SECRETS_MANAGER",
        "SSM",
        "KMS",
        "CLOUDTRAIL",
        "EVENTBRIDGE",
    ];
    let Endpoint { url, region, key, authority, .. } = endpoint;
    let authority = authority.as_ref().filter(|_| url.starts_with("https://"));
    let url_names: Vec<String> = if by_service {
        SERVICES.iter().map(|service| format!("AWS_ENDPOINT_URL_{service}")).collect()
    } else {
        vec!["AWS_ENDPOINT_URL".to_owned()]
    };
    let mut all: Vec<(String, String)> =
        url_names.into_iter().map(|name| (name, url.clone())).collect();
    let mut add = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
    if let Some(authority) = authority {
        add("AWS_CA_BUNDLE", &authority.display().to_string());
    }
    add("AWS_ACCESS_KEY_ID", &key.access_key_id);
    add("AWS_SECRET_ACCESS_KEY", &key.secret_access_key);
    add("AWS_REGION", region);
    add("AWS_DEFAULT_REGION", region);
    all
}

/// Has the runner of GitHub Actions hide the secret key in logs ("Workflow commands for GitHub Actions", "Masking a value in
/// a log").
fn mask(endpoint: &Endpoint) -> String {
    format!("::add-mask::{}\n", endpoint.key.secret_access_key)
}

fn lines(endpoint: &Endpoint, format: EnvFormat, by_service: bool) -> String {
    let variables = variables(endpoint, by_service);
    let line = |(name, value): &(String, String)| match format {
        EnvFormat::Sh => format!("export {name}={}\n", quoted(value)),
        EnvFormat::Fish => format!("set -gx {name} {};\n", quoted_for_fish(value)),
        EnvFormat::Powershell => format!("$Env:{name} = '{}'\n", value.replace('\'', "''")),
        EnvFormat::Github => format!("{name}={value}\n"),
        EnvFormat::Dotenv => format!("{name}={}\n", quoted_for_dotenv(value)),
        EnvFormat::Json => String::new(),
    };
    match format {
        EnvFormat::Json => {
            let pairs = variables.into_iter().map(|(name, value)| (name, Value::from(value)));
            format!("{:#}\n", Value::Object(pairs.collect()))
        }
        _ => variables.iter().map(line).collect(),
    }
}

/// For any POSIX shell: nothing inside single quotes is special but the quote itself.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Of fish: a backslash and the quote itself are special inside single quotes.
fn quoted_for_fish(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Inside single quotes all readers of such files take a value as it is; one with that quote in it stands in double ones.
fn quoted_for_dotenv(text: &str) -> String {
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    let escaped = text.replace('\\', r"\\").replace('"', r#"\""#).replace('$', r"\$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::KeyPair;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let endpoint = Endpoint {
            url: "http://127.0.0.1:4566".into(),
            region: "us-east-1".into(),
            key: KeyPair { access_key_id: "test".into(), secret_access_key: "it's $(x)".into() },
            https_url: Some("https://127.0.0.1:4566".into()),
            authority: Some("/data/tls/authority.pem".into()),
        };
        let https = Endpoint { url: "https://a:1".into(), ..endpoint.clone() };
        let of_https = lines(&https, EnvFormat::Sh, false);
        assert!(of_https.starts_with(
            "export AWS_ENDPOINT_URL='https://a:1'\nexport AWS_CA_BUNDLE='/data/tls/authority.pem'\n"
        ));
        assert_eq!(
            lines(&endpoint, EnvFormat::Sh, false),
            "export AWS_ENDPOINT_URL='http://127.0.0.1:4566'\n\
             export AWS_ACCESS_KEY_ID='test'\n\
             export AWS_SECRET_ACCESS_KEY='it'\\''s $(x)'\n\
             export AWS_REGION='us-east-1'\n\
             export AWS_DEFAULT_REGION='us-east-1'\n"
        );
    }

    #[test]
    fn each_format_has_its_own_quotes() {
        let endpoint = Endpoint {
            url: "http://127.0.0.1:4566".into(),
            region: "us-east-1".into(),
            key: KeyPair { access_key_id: "test".into(), secret_access_key: r"it's \$x".into() },
            https_url: None,
            authority: None,
        };
        let check = |format, expected: &str| {
            let lines = lines(&endpoint, format, false);
            assert!(lines.contains(expected), "{lines}");
        };
        check(EnvFormat::Fish, r"set -gx AWS_SECRET_ACCESS_KEY 'it\'s \\$x';");
        check(EnvFormat::Powershell, r"$Env:AWS_SECRET_ACCESS_KEY = 'it''s \$x'");
        check(EnvFormat::Github, "AWS_ENDPOINT_URL=http://127.0.0.1:4566\n");
        assert_eq!(mask(&endpoint), "::add-mask::it's \\$x\n");
        check(EnvFormat::Dotenv, "AWS_REGION='us-east-1'\n");
        check(EnvFormat::Dotenv, r#"AWS_SECRET_ACCESS_KEY="it's \\\$x""#);
        check(EnvFormat::Json, r#""AWS_SECRET_ACCESS_KEY": "it's \\$x""#);
    }

    #[test]
    fn other_emulators_keep_what_is_not_served_here() {
        let endpoint = Endpoint {
            url: "http://127.0.0.1:4566".into(),
            region: "us-east-1".into(),
            key: KeyPair { access_key_id: "a".into(), secret_access_key: "b".into() },
            https_url: None,
            authority: None,
        };
        let lines = lines(&endpoint, EnvFormat::Github, true);
        assert!(lines.starts_with("AWS_ENDPOINT_URL_ECS=http://127.0.0.1:4566\n"), "{lines}");
        assert!(lines.contains("\nAWS_ENDPOINT_URL_CLOUDTRAIL=http://127.0.0.1:4566\n"), "{lines}");
        assert!(!lines.contains("AWS_ENDPOINT_URL="), "{lines}");
    }
}
