//! One authenticated request, as an operation sees it.

use std::fmt;
use std::net::IpAddr;

use outport_model::{AccountId, Region};

use crate::condition_context::ConditionValue;
use crate::{AccessKeyId, ConditionContext, Denied, Principal, authorize};

/// The id of a request: it stands in the reply, in the log line and in nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Takes the text of a fresh UUID.
    pub fn new(text: impl Into<String>) -> Self {
        RequestId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who is calling, and in what setting. Made by the front door once the signature is proven.
#[derive(Clone, Debug)]
pub struct Call {
    pub principal: Principal,
    /// The account that is called. Its own, until resources are shared between accounts.
    pub account: AccountId,
    /// The region that is called.
    pub region: Region,
    pub request_id: RequestId,
    /// When the request was received, unix milliseconds.
    pub now_ms: i64,
    pub source_ip: IpAddr,
    pub user_agent: Option<String>,
    /// Whether the request came over TLS.
    pub secure_transport: bool,
    /// Host and port by which the client came; signed with the rest.
    pub host: Option<String>,
    /// The key that signed the request.
    pub access_key_id: AccessKeyId,
}

impl Call {
    /// Asks whether the caller may perform `action` on `resource`. `context` holds the condition
    /// keys of the operation; the global ones (`aws:SourceIp`, …) are added here.
    ///
    /// # Errors
    /// [`Denied`] with AWS's text.
    pub fn authorize(
        &self,
        action: &str,
        resource: &str,
        context: &ConditionContext,
    ) -> Result<(), Denied> {
        let context = self.with_global_keys(context.clone());
        authorize(&self.principal, action, resource, &context).into_result(
            &self.principal,
            action,
            resource,
        )
    }

    /// Source: IAM user guide, "AWS global condition context keys".
    fn with_global_keys(&self, context: ConditionContext) -> ConditionContext {
        context
            .with("aws:SourceIp", self.source_ip)
            .with("aws:SecureTransport", self.secure_transport)
            .with("aws:CurrentTime", ConditionValue::Date(self.now_ms))
            .with("aws:EpochTime", self.now_ms.div_euclid(1000))
            .with("aws:PrincipalAccount", self.principal.account().as_str())
            .with("aws:PrincipalArn", self.principal.arn())
            .with("aws:PrincipalType", self.principal.principal_type())
            .with("aws:userid", self.principal.user_id())
            .with("aws:RequestedRegion", self.region.as_str())
            .with("aws:ViaAWSService", false)
            .with_optional("aws:UserAgent", self.user_agent.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn global_condition_keys_come_from_the_call() {
        let account = AccountId::new("000000000000");
        let call = Call {
            principal: Principal::root(account.clone()),
            account,
            region: Region::new("us-east-1"),
            request_id: RequestId::new("id"),
            now_ms: 1_500,
            source_ip: Ipv4Addr::LOCALHOST.into(),
            user_agent: None,
            secure_transport: false,
            host: None,
            access_key_id: AccessKeyId::new("AKID"),
        };
        // An operation cannot say who is calling: the call's own keys win.
        let context = ConditionContext::new().with("aws:SourceIp", "1.2.3.4");
        let context = call.with_global_keys(context);
        assert_eq!(context.get("aws:SourceIp"), Some(&call.source_ip.into()));
        assert_eq!(context.get("aws:EpochTime"), Some(&1_i64.into()));
        assert_eq!(context.get("aws:PrincipalArn"), Some(&"arn:aws:iam::000000000000:root".into()));
        assert_eq!(context.get("aws:UserAgent"), None);
        assert_eq!(call.authorize("ecs:ListClusters", "*", &context), Ok(()));
    }
}
