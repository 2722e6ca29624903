//! `AssumeRoleWithWebIdentity`: temporary credentials of a role for who has a token of an identity provider that the role's trust
//! policy names. Nobody signs it.
//!
//! ```text
//! token ──► issuer is a provider of the role's account ──► audience, times ──► signature ──► trust policy ──► session
//! ```
//!
//! What can be looked at here comes first, so that an issuer is asked for keys only when its token could be good.
//!
//! Source of the texts, where nothing else is said: answers as callers report them.

use std::sync::Arc;

use outport_aws_sts::{
    AssumeRoleWithWebIdentityRequest, AssumeRoleWithWebIdentityResponse, AssumedRoleUser,
};
use outport_identity::{Call, Principal, Question, ResourcePolicy, Session, Subject};
use outport_model::iam::{OidcProvider, Role};
use outport_model::{AccountId, Arn};
use outport_store::Tables;
use outport_store::keys::OidcProviderKey;
use outport_web_identity::{NotSigned, NotVerified, WebToken};

use super::assume_role::{duration, role, role_arn};
use super::claimed_tags::ClaimedTags;
use crate::StsService;
use crate::rejection::Rejection;
use crate::session::Limits;

/// How far the clock of an issuer may be ahead. A guess.
const AHEAD_MAX_SECONDS: i64 = 300;

const DENIED: &str = "Not authorized to perform sts:AssumeRoleWithWebIdentity";

pub async fn assume_role_with_web_identity(
    service: &StsService,
    call: &Call,
    input: AssumeRoleWithWebIdentityRequest,
) -> Result<AssumeRoleWithWebIdentityResponse, Rejection> {
    if input.provider_id.is_some() {
        return Err(Rejection::not_built("ProviderId, and with it access tokens of OAuth 2.0,"));
    }
    let arn = role_arn(input.role_arn.as_deref())?;
    let token = WebToken::parse(input.web_identity_token.as_deref().unwrap_or_default());
    let token = token.map_err(|_| {
        invalid(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        )
    })?;
    let account = AccountId::new(arn.account());
    let claims = Claims::check(&service.store.snapshot(), &account, &token, call.now_ms)?;
    let verified = service.issuers.verify(&token, &claims.provider.issuer, call.now_ms).await;
    verified.map_err(not_verified)?;
    // Whoever was waited for: what there is now counts.
    let tables = service.store.snapshot();
    let claims = Claims::check(&tables, &account, &token, call.now_ms)?;
    let call = &call.identified(claims.principal());
    // A role that there is not trusts nobody, and the text is the same.
    let role = role(&tables, &arn);
    let asked = role.as_ref().map(|role| call.open(claims.subject(&input, &arn, role)));
    let Some((role, Ok(()))) = role.zip(asked) else {
        return Err(Rejection::AccessDenied(DENIED.to_owned()));
    };
    let duration = duration(call, &role, input.duration_seconds)?;
    let limits = Limits::parse(&tables, input.policy, input.policy_arns)?;
    let packed = limits.packed_size(&claims.brought.tags)?;
    let principal = Principal::AssumedRole {
        account,
        path: role.path.clone(),
        role: role.name.clone(),
        role_id: role.id.clone(),
        session_name: input.role_session_name.unwrap_or_default(),
    };
    let user =
        AssumedRoleUser { assumed_role_id: Some(principal.user_id()), arn: Some(principal.arn()) };
    let ClaimedTags { tags, transitive, source_identity } = claims.brought;
    let session = Session {
        issued_at_ms: call.now_ms,
        expires_at_ms: call.now_ms + i64::from(duration) * 1000,
        policy: limits.policy,
        policy_arns: limits.policy_arns,
        tags,
        transitive_tag_keys: transitive,
        source_identity: source_identity.clone(),
        federated_provider: Some(claims.provider.arn()),
    };
    Ok(AssumeRoleWithWebIdentityResponse {
        credentials: Some(service.issue(principal, session)?),
        subject_from_web_identity_token: Some(claims.subject),
        assumed_role_user: Some(user),
        packed_policy_size: Some(packed),
        provider: Some(claims.provider.arn()),
        audience: Some(claims.audience),
        source_identity,
        ..Default::default()
    })
}

/// What a token says that counts.
struct Claims {
    provider: Arc<OidcProvider>,
    /// The client id of the provider that the token is for.
    audience: String,
    /// All that it says it is for.
    audiences: Vec<String>,
    authorized_party: Option<String>,
    subject: String,
    methods: Vec<String>,
    brought: ClaimedTags,
}

impl Claims {
    /// # Errors
    /// `InvalidIdentityToken`, `ExpiredTokenException`, `IDPRejectedClaim`.
    fn check(
        tables: &Tables,
        account: &AccountId,
        token: &WebToken,
        now_ms: i64,
    ) -> Result<Self, Rejection> {
        let url = required(token, "iss")?;
        let issuer = url.strip_prefix("https://").unwrap_or(url);
        let provider = tables.oidc_providers.get(&OidcProviderKey::new(account, issuer));
        let provider = provider.cloned().ok_or_else(|| {
            invalid(format!("No OpenIDConnect provider found in your account for https://{issuer}"))
        })?;
        let subject = required(token, "sub")?.to_owned();
        let audiences = token.texts("aud");
        if audiences.is_empty() {
            return Err(missing("aud"));
        }
        // Source: IAM user guide, "Create an OpenID Connect (OIDC) identity provider in IAM": for whom a token is, its `azp`
        // says if it has one.
        let authorized_party = token.text("azp").map(str::to_owned);
        let meant = match &authorized_party {
            Some(party) => std::slice::from_ref(party),
            None => audiences.as_slice(),
        };
        let audience = meant.iter().find(|audience| provider.client_ids.contains(audience));
        let audience = audience.cloned().ok_or_else(|| invalid("Incorrect token audience"))?;
        check_times(token, now_ms)?;
        Ok(Self {
            provider,
            audience,
            audiences,
            authorized_party,
            subject,
            methods: token.texts("amr"),
            brought: ClaimedTags::of(token)?,
        })
    }

    fn principal(&self) -> Principal {
        Principal::WebIdentity {
            account: self.provider.account.clone(),
            provider: self.provider.arn(),
            audience: self.audience.clone(),
            subject: self.subject.clone(),
        }
    }

    /// Source: IAM user guide, "Available keys for AWS web identity federation": `aud` is the authorized party where a token has
    /// one, and `oaud` then what it says itself. "Actions, resources, and condition keys for AWS Security Token Service".
    fn subject(
        &self,
        input: &AssumeRoleWithWebIdentityRequest,
        arn: &Arn,
        role: &Role,
    ) -> Subject<()> {
        let ClaimedTags { tags, transitive, source_identity } = &self.brought;
        let (issuer, of_token) = (&self.provider.issuer, &self.audiences);
        let several = |texts: &Vec<String>| (!texts.is_empty()).then(|| texts.clone());
        let question = |action: &'static str| {
            let question = Question::new(action, arn.as_str())
                .with(&format!("{issuer}:sub"), self.subject.as_str())
                .with_optional(&format!("{issuer}:amr"), several(&self.methods))
                .with_optional("sts:RoleSessionName", input.role_session_name.clone())
                .with_optional("sts:DurationSeconds", input.duration_seconds.map(i64::from))
                .with_optional("sts:SourceIdentity", source_identity.clone())
                .with_optional("sts:TransitiveTagKeys", several(transitive))
                .with_request_tags(tags)
                .with_resource_tags_of("iam", &role.tags)
                .with_resource_policy(Some(ResourcePolicy::RoleTrust(role.trust_policy.clone())));
            match (&self.authorized_party, of_token.as_slice()) {
                (Some(party), _) => question
                    .with(&format!("{issuer}:aud"), party.as_str())
                    .with(&format!("{issuer}:oaud"), of_token.clone()),
                (None, [one]) => question.with(&format!("{issuer}:aud"), one.as_str()),
                (None, several) => question.with(&format!("{issuer}:aud"), several.to_vec()),
            }
        };
        let mut subject = Subject::from(question("sts:AssumeRoleWithWebIdentity"));
        if !tags.is_empty() {
            subject = subject.and(question("sts:TagSession"));
        }
        if source_identity.is_some() {
            subject = subject.and(question("sts:SetSourceIdentity"));
        }
        subject
    }
}

/// Source: as of [`Claims`], which has `iat` and `exp` required. The texts about times that are to come are guesses.
fn check_times(token: &WebToken, now_ms: i64) -> Result<(), Rejection> {
    let now_s = now_ms.div_euclid(1000);
    let time = |name: &str| token.time_s(name).ok_or_else(|| missing(name));
    let expires_s = time("exp")?;
    if now_s >= expires_s {
        return Err(Rejection::ExpiredToken(format!(
            "Token expired: current date/time {now_s} must be before the expiration date/time {expires_s}"
        )));
    }
    let issued_s = time("iat")?;
    if issued_s > now_s.saturating_add(AHEAD_MAX_SECONDS) {
        return Err(Rejection::IdpRejectedClaim(format!(
            "Token issued in the future: current date/time {now_s} must be after the issue date/time {issued_s}"
        )));
    }
    match token.time_s("nbf") {
        Some(from_s) if from_s > now_s.saturating_add(AHEAD_MAX_SECONDS) => {
            Err(Rejection::IdpRejectedClaim(format!(
                "Token not yet valid: current date/time {now_s} must be after the not before date/time {from_s}"
            )))
        }
        _ => Ok(()),
    }
}

fn required<'a>(token: &'a WebToken, name: &str) -> Result<&'a str, Rejection> {
    token.text(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Rejection {
    invalid(format!("Missing a required claim: {name}"))
}

fn invalid(text: impl Into<String>) -> Rejection {
    Rejection::InvalidIdentityToken(text.into())
}

/// Why is for the log. The text about signatures is a guess, and so is which of the errors tells of an issuer that does not
/// answer.
fn not_verified(why: NotVerified) -> Rejection {
    match why {
        NotVerified::Unreachable(_) => Rejection::IdpCommunicationError(
            "Error communicating with your identity provider, please try again".to_owned(),
        ),
        NotVerified::NoKeys(_) | NotVerified::NotSigned(NotSigned::NoKey) => invalid(
            "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements",
        ),
        NotVerified::NotSigned(NotSigned::Wrong) => {
            invalid("The signature of the ID Token provided could not be validated")
        }
        NotVerified::NotSigned(NotSigned::UnknownAlgorithm) => invalid(
            "The ID Token provided is signed with an algorithm that is not supported: it has to be RS256, RS384, RS512, ES256 or ES384",
        ),
    }
}

#[cfg(test)]
#[path = "assume_role_with_web_identity_tests.rs"]
mod tests;
