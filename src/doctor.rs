//! `outport doctor`: every check of this host at once, with what to do about each that fails.
//!
//! **Invariant:** it says that all is well only when `outport up` would start here.

use anyhow::{Context, Result, bail};
use outport_operator::{Shape, paragraph};
use serde::Serialize;

use crate::command_line::Doctor;
use crate::output;
use crate::preflight::{CHECKS, Check, Seen, Subject, Weight};
use crate::settings::Settings;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Failed,
}

/// One check as it is told.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// Makes every check and prints what was found.
///
/// # Errors
/// When something that is essential failed, so that scripts can tell.
pub fn run(options: &Doctor) -> Result<()> {
    let data_dir = &options.data_dir.data_dir;
    // Who may not read the data directory is told so by the check for root.
    let settings = Settings::read(data_dir).unwrap_or_default();
    let vpc_cidr = settings.default_vpc_cidr.as_deref();
    let subject = Subject { node: &options.node, data_dir, vpc_cidr };
    let findings: Vec<Finding> =
        CHECKS.iter().map(|check| finding(check, check.look(&subject))).collect();
    let text =
        if options.json { json(&findings)? } else { text(Shape::of_stdout(false), &findings) };
    output::answer(&text).context("cannot print")?;
    let failed = findings.iter().filter(|finding| finding.state == State::Failed).count();
    if failed > 0 {
        bail!(
            "{failed} of {} checks failed: Outport does not work on this host as it is",
            findings.len()
        );
    }
    Ok(())
}

fn finding(check: &Check, seen: Result<Seen>) -> Finding {
    let seen = seen.unwrap_or_else(|error| Seen::Wrong {
        what: format!("this cannot be looked at: {error:#}"),
        fix: "see the error".to_owned(),
    });
    let wrong = if check.weight == Weight::Advice { State::Warning } else { State::Failed };
    let (state, found, fix) = match seen {
        Seen::Fine(found) => (State::Ok, found, None),
        Seen::Wrong { what, fix } => (wrong, what, Some(fix)),
    };
    Finding { name: check.name, state, found, fix }
}

fn json(findings: &[Finding]) -> Result<String> {
    let ok = findings.iter().all(|finding| finding.state != State::Failed);
    let answer = serde_json::json!({ "ok": ok, "checks": findings });
    Ok(serde_json::to_string_pretty(&answer)? + "\n")
}

fn text(shape: Shape, findings: &[Finding]) -> String {
    let names = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { name, state, found, fix } in findings {
        let state = match state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "FAILED",
        };
        text += &paragraph(shape, &format!("{state:<7}  {name:<names$}  "), found);
        if let Some(fix) = fix {
            let begin = format!("{:<7}  {:<names$}  ", "", "");
            text += &paragraph(shape, &begin, &format!("fix: {fix}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding_of(weight: Weight, seen: Result<Seen>) -> Finding {
        let check = CHECKS.iter().find(|check| check.weight == weight).unwrap();
        finding(check, seen)
    }

    #[test]
    fn what_is_essential_fails_and_what_is_advice_warns() {
        let wrong = || Ok(Seen::Wrong { what: "a is missing".into(), fix: "install a".into() });
        let findings = [
            finding_of(Weight::Start, Ok(Seen::Fine("it is".into()))),
            finding_of(Weight::Advice, wrong()),
            finding_of(Weight::Essential, wrong()),
            finding_of(Weight::Start, Err(anyhow::anyhow!("no /proc"))),
        ];
        let states: Vec<State> = findings.iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Ok, State::Warning, State::Failed, State::Failed]);
        assert_eq!(
            text(Shape::default(), &findings[..2]),
            "ok       root    it is\nwarning  kernel  a is missing\n                 fix: install a\n"
        );
        let narrow = Shape { width: Some(24), ..Shape::default() };
        let expected =
            "ok       root    it is\nwarning  kernel\n    a is missing\n    fix: install a\n";
        assert_eq!(text(narrow, &findings[..2]), expected);
        let told: serde_json::Value = serde_json::from_str(&json(&findings).unwrap()).unwrap();
        assert_eq!(told["ok"], false);
        assert_eq!(told["checks"][2]["state"], "failed");
        assert_eq!(told["checks"][2]["fix"], "install a");
        let told: serde_json::Value = serde_json::from_str(&json(&findings[..2]).unwrap()).unwrap();
        assert_eq!(told["ok"], true);
        assert_eq!(told["checks"][0].get("fix"), None);
    }
}
