//! The pure crates: a decision must be repeatable, so nothing that waits, reads a clock, a file, the
//! network or chance is built into them, and `clippy.toml` bans what the standard library offers.

use serde::Deserialize;

use super::Offences;
use super::workspace::{Package, Workspace};

/// The crates, `outport-` left out; a `*` stands for the rest of the name.
const PURE: [&str; 7] =
    ["model", "planner", "event-rules", "policy", "identity", "aws-wire", "aws-*"];
/// Packages that bring effects, and which.
const IMPURE: [(&str, &str); 21] = [
    ("async-io", "network"),
    ("axum", "network"),
    ("chrono", "clock"),
    ("fastrand", "chance"),
    ("getrandom", "chance"),
    ("hyper", "network"),
    ("libsqlite3-sys", "files"),
    ("memmap2", "files"),
    ("mio", "network"),
    ("nix", "system calls"),
    ("rand", "chance"),
    ("reqwest", "network"),
    ("rusqlite", "files"),
    ("rustix", "system calls"),
    ("rustls", "network"),
    ("smol", "tasks"),
    ("socket2", "network"),
    ("tempfile", "files"),
    ("tokio", "tasks"),
    ("uuid", "chance"),
    ("walkdir", "files"),
];
/// What each `clippy.toml` bans at least, with a reason.
const BANNED_METHODS: [&str; 8] = [
    "std::fs::File::create",
    "std::fs::File::open",
    "std::fs::read",
    "std::fs::write",
    "std::net::TcpListener::bind",
    "std::net::TcpStream::connect",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
];

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Clippy {
    #[serde(default)]
    disallowed_methods: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    path: String,
    #[serde(default)]
    reason: String,
}

pub fn check(workspace: &Workspace) -> Offences {
    let mut offences = Vec::new();
    for member in workspace.members().filter(|member| is_pure(&member.name)) {
        let built_in = workspace.closure(member);
        for (impure, effect) in IMPURE.iter().filter(|(impure, _)| built_in.contains(impure)) {
            offences
                .push(format!("{} is pure, and {impure} is built into it ({effect})", member.name));
        }
        offences.extend(missing_bans(member));
    }
    offences
}

fn is_pure(package: &str) -> bool {
    let Some(name) = package.strip_prefix("outport-") else { return false };
    PURE.iter().any(|pure| match pure.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pure,
    })
}

fn missing_bans(member: &Package) -> Offences {
    let file = member.folder().join("clippy.toml");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return vec![format!("{} is pure and has no clippy.toml", member.name)];
    };
    let clippy: Clippy = match toml::from_str(&text) {
        Ok(clippy) => clippy,
        Err(error) => return vec![format!("{}: {error}", file.display())],
    };
    let is_banned = |method: &str| {
        clippy.disallowed_methods.iter().any(|ban| ban.path == method && !ban.reason.is_empty())
    };
    let missing = BANNED_METHODS.iter().filter(|method| !is_banned(method));
    missing.map(|m| format!("{} does not ban {m} with a reason", file.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(package: &str, expected: bool) {
        assert_eq!(is_pure(package), expected, "{package}");
    }

    #[test]
    fn which_crates_are_pure() {
        check("outport-model", true);
        check("outport-aws-ecs", true);
        check("outport-aws-wire", true);
        check("outport-store", false);
        check("outport", false);
        check("model", false);
    }
}
