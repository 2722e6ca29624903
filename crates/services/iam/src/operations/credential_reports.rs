//! The credential report: a line for the root of the account and for each of its users.
//!
//! It is written when it is fetched, from what there is then: asking for it only opens four hours in which it may be.
//! AWS's may be as old as that. Source: IAM user guide, "Generate credential reports for your AWS account", with the columns.

use std::sync::Arc;

use outport_aws_iam::{
    GenerateCredentialReportResponse, GetCredentialReportResponse, ReportFormatType,
    ReportStateType,
};
use outport_aws_wire::{Blob, Timestamp};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::{AccessKey, AccessKeyStatus, Account, NameKey, PasswordPolicy, User};
use outport_model::{AccountId, TimestampMs};
use outport_store::Tables;

use crate::rejection::Rejection;
use crate::{IamService, account, view};

/// Source: API reference, GenerateCredentialReport: a report is made anew when the last one is older than four hours.
const KEPT_MS: TimestampMs = 4 * 60 * 60 * 1000;
const DAY_MS: TimestampMs = 24 * 60 * 60 * 1000;

const COLUMNS: &str = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,\
    password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,\
    access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
    access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,\
    cert_1_last_rotated,cert_2_active,cert_2_last_rotated";

/// Source of the text: the user guide's examples.
pub async fn generate_credential_report(
    service: &IamService,
    call: &Call,
    (): (),
) -> Result<GenerateCredentialReportResponse, Rejection> {
    let ask =
        |_: &Tables| Subject::from(Question::without_resource("iam:GenerateCredentialReport"));
    service
        .store
        .write(call, ask, |tx, ()| {
            let mut account = account::find_or_new(tx, call);
            if asked_for(&account, call).is_some_and(|is_recent| is_recent) {
                let state = Some(ReportStateType::Complete);
                return Ok(GenerateCredentialReportResponse { state, description: None });
            }
            account.report_asked_for_at_ms = Some(call.now_ms);
            tx.put(account);
            Ok(GenerateCredentialReportResponse {
                state: Some(ReportStateType::Started),
                description: Some(
                    "No report exists. Starting a new report generation task".to_owned(),
                ),
            })
        })
        .await
}

/// Whether that is recent; `None`: never.
fn asked_for(account: &Account, call: &Call) -> Option<bool> {
    account.report_asked_for_at_ms.map(|at_ms| call.now_ms - at_ms < KEPT_MS)
}

/// The texts are guesses.
pub async fn get_credential_report(
    service: &IamService,
    call: &Call,
    (): (),
) -> Result<GetCredentialReportResponse, Rejection> {
    let ask = |_: &Tables| Subject::from(Question::without_resource("iam:GetCredentialReport"));
    let (tables, ()) = service.store.read(call, ask)?;
    let account = account::find(&tables, call);
    let account = match account.map(|account| (account, asked_for(account, call))) {
        Some((account, Some(true))) => account,
        Some((_, Some(false))) => {
            let text = "The credential report has expired.";
            return Err(Rejection::CredentialReportExpired(text.to_owned()));
        }
        _ => {
            let text = "No report is available. Use GenerateCredentialReport.";
            return Err(Rejection::CredentialReportNotPresent(text.to_owned()));
        }
    };
    Ok(GetCredentialReportResponse {
        content: Some(Blob(report(&tables, account).into_bytes())),
        report_format: Some(ReportFormatType::TextCsv),
        generated_time: view::time(call.now_ms),
    })
}

fn report(tables: &Tables, account: &Account) -> String {
    let root = root_line(tables, account);
    let users = tables.users.of_account(&account.id);
    let users = users.map(|user| user_line(tables, user, account.password_policy.as_ref()));
    let mut lines = vec![COLUMNS.to_owned(), root];
    lines.extend(users);
    lines.join("\n")
}

/// Source: the user guide: a root's password is `not_supported`, of which nothing is told.
fn root_line(tables: &Tables, account: &Account) -> String {
    let mut fields = vec![
        "<root_account>".to_owned(),
        format!("arn:aws:iam::{}:root", account.id),
        time(account.created_at_ms),
        "not_supported".to_owned(),
        "no_information".to_owned(),
        "not_supported".to_owned(),
        "not_supported".to_owned(),
    ];
    fields.extend(keys_and_certificates(keys(tables, &account.id, None)));
    fields.join(",")
}

fn user_line(tables: &Tables, user: &User, policy: Option<&PasswordPolicy>) -> String {
    let mut fields = vec![quoted(&user.name), quoted(&user.arn()), time(user.created_at_ms)];
    match &user.login_profile {
        None => fields.extend(["false", "N/A", "N/A", "N/A"].map(str::to_owned)),
        Some(profile) => {
            let set_at_ms = profile.password_set_at_ms();
            let days = policy.and_then(|policy| policy.max_age_days);
            let next = days.map(|days| time(set_at_ms + TimestampMs::from(days) * DAY_MS));
            fields.extend([
                "true".to_owned(),
                "no_information".to_owned(),
                time(set_at_ms),
                next.unwrap_or_else(na),
            ]);
        }
    }
    let name = NameKey::of(&user.name);
    fields.extend(keys_and_certificates(keys(tables, &user.account, Some(&name))));
    fields.join(",")
}

fn keys<'a>(
    tables: &'a Tables,
    account: &AccountId,
    user: Option<&NameKey>,
) -> Vec<&'a Arc<AccessKey>> {
    let ids = tables.access_keys.of_owner(account, user).iter();
    ids.filter_map(|id| tables.access_keys.get(id)).collect()
}

/// There are neither devices nor signing certificates.
fn keys_and_certificates(mut keys: Vec<&Arc<AccessKey>>) -> Vec<String> {
    keys.sort_by_key(|key| key.created_at_ms);
    let mut fields = vec!["false".to_owned()];
    for place in 0..2 {
        match keys.get(place) {
            None => fields.extend(["false", "N/A", "N/A", "N/A", "N/A"].map(str::to_owned)),
            Some(key) => {
                let used = key.last_use.as_ref();
                fields.extend([
                    (key.status == AccessKeyStatus::Active).to_string(),
                    time(key.created_at_ms),
                    used.map_or_else(na, |used| time(used.at_ms)),
                    used.map_or_else(na, |used| used.region.to_string()),
                    used.map_or_else(na, |used| used.service.clone()),
                ]);
            }
        }
    }
    fields.extend(["false", "N/A", "false", "N/A"].map(str::to_owned));
    fields
}

fn na() -> String {
    "N/A".to_owned()
}

/// `2026-01-02T03:04:05+00:00`.
fn time(ms: TimestampMs) -> String {
    let text = Timestamp::from_millis(ms - ms.rem_euclid(1000)).to_string();
    format!("{}+00:00", text.trim_end_matches('Z').trim_end_matches(".000"))
}

/// Names may have commas.
fn quoted(field: &str) -> String {
    if field.contains(',') { format!("\"{field}\"") } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::testing::{World, texts_of};

    #[tokio::test]
    async fn a_report_has_a_line_for_each_user() {
        let world = World::new();
        world.call("CreateUser", &[("UserName", "ann,a")]).await;
        world.call("CreateAccessKey", &[("UserName", "ann,a")]).await;
        let text = "No report is available. Use GenerateCredentialReport.";
        world.refuses("GetCredentialReport", &[], "ReportNotPresent", text).await;
        let state = world.call("GenerateCredentialReport", &[]).await;
        World::has(&state, &[("State", &["STARTED"])]);
        let state = world.call("GenerateCredentialReport", &[]).await;
        World::has(&state, &[("State", &["COMPLETE"])]);
        let report = world.call("GetCredentialReport", &[]).await;
        World::has(&report, &[("ReportFormat", &["text/csv"])]);
        let content = STANDARD.decode(&texts_of(&report, "Content")[0]).unwrap();
        let content = String::from_utf8(content).unwrap();
        let lines: Vec<_> = content.split('\n').collect();
        assert_eq!(lines.len(), 3, "{content}");
        assert_eq!(lines[0].split(',').count(), 22);
        assert_eq!(
            lines[1],
            "<root_account>,arn:aws:iam::000000000000:root,2026-01-01T00:00:00+00:00,not_supported,no_information,\
             not_supported,not_supported,false,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
        );
        assert_eq!(
            lines[2],
            "\"ann,a\",\"arn:aws:iam::000000000000:user/ann,a\",2026-01-01T00:00:00+00:00,false,N/A,N/A,N/A,false,true,\
             2026-01-01T00:00:00+00:00,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
        );
        world.clock.advance(4 * 60 * 60 * 1000);
        let text = "The credential report has expired.";
        world.refuses("GetCredentialReport", &[], "ReportExpired", text).await;
    }
}
