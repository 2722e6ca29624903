//! `outport env`: shell lines for `eval "$(outport env)"`.

use anyhow::{Context, Result};
use outport_certificates::authority_file;

use crate::command_line::{Ca, Env};
use crate::data_dir::{DataDir, Endpoint};
use crate::output;

pub fn print(options: &Env) -> Result<()> {
    let mut endpoint = DataDir::published(&options.data_dir.data_dir)?;
    if options.https {
        endpoint.url = endpoint
            .https_url
            .clone()
            .context("the last Outport of this data directory did not speak TLS: start it again")?;
    }
    output::answer(&export_lines(&endpoint)).context("cannot print")
}

/// `outport ca`: the authority's certificate, for whoever keeps trust in a place of its own.
pub fn print_authority(options: &Ca) -> Result<()> {
    let file = authority_file(&options.data_dir.data_dir.join("tls"));
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("cannot read {}: start `outport up` or `outport server` first", file.display())
    })?;
    output::answer(&text).context("cannot print")
}

fn export_lines(endpoint: &Endpoint) -> String {
    let Endpoint { url, region, key, authority, .. } = endpoint;
    let authority = authority.as_ref().filter(|_| url.starts_with("https://"));
    let authority = authority.map(|path| path.display().to_string());
    let lines = [
        ("AWS_ENDPOINT_URL", Some(url)),
        ("AWS_CA_BUNDLE", authority.as_ref()),
        ("AWS_ACCESS_KEY_ID", Some(&key.access_key_id)),
        ("AWS_SECRET_ACCESS_KEY", Some(&key.secret_access_key)),
        ("AWS_REGION", Some(region)),
        ("AWS_DEFAULT_REGION", Some(region)),
    ];
    let given = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect()
}

/// For any POSIX shell: nothing inside single quotes is special but the quote itself.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
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
        let lines = export_lines(&https);
        assert!(lines.starts_with(
            "export AWS_ENDPOINT_URL='https://a:1'\nexport AWS_CA_BUNDLE='/data/tls/authority.pem'\n"
        ));
        assert_eq!(
            export_lines(&endpoint),
            "export AWS_ENDPOINT_URL='http://127.0.0.1:4566'\n\
             export AWS_ACCESS_KEY_ID='test'\n\
             export AWS_SECRET_ACCESS_KEY='it'\\''s $(x)'\n\
             export AWS_REGION='us-east-1'\n\
             export AWS_DEFAULT_REGION='us-east-1'\n"
        );
    }
}
