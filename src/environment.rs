//! `outport env`: shell lines for `eval "$(outport env)"`.

use anyhow::Result;

use crate::command_line::Env;
use crate::data_dir::{DataDir, Endpoint};

pub fn print(options: &Env) -> Result<()> {
    print!("{}", export_lines(&DataDir::published(&options.data_dir.data_dir)?));
    Ok(())
}

fn export_lines(endpoint: &Endpoint) -> String {
    let Endpoint { url, region, key } = endpoint;
    let lines = [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", &key.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &key.secret_access_key),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
    ];
    lines.map(|(name, value)| format!("export {name}={}\n", quoted(value))).concat()
}

/// For any POSIX shell: nothing inside single quotes is special but the quote itself.
fn quoted(text: &str) -> String {
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
        };
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
