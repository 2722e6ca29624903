//! Which image hosts mean a private ECR registry.

use crate::{AccountId, Region, Scope};

/// Account and region of a private ECR registry's host, so that task definitions written for AWS run
/// as they are. Source: Amazon ECR user guide, "Private registries": `dkr.ecr` and `dkr.ecr-fips`
/// under `amazonaws.com` (China: `.cn`), dual-stack `dkr-ecr` under `on.aws`.
pub fn ecr_registry(host: &str) -> Option<Scope> {
    let (account, rest) = host.split_once('.')?;
    let region =
        if let Some(rest) = rest.strip_prefix("dkr.ecr.").or(rest.strip_prefix("dkr.ecr-fips.")) {
            rest.strip_suffix(".amazonaws.com").or(rest.strip_suffix(".amazonaws.com.cn"))?
        } else {
            rest.strip_prefix("dkr-ecr.")?.strip_suffix(".on.aws")?
        };
    let region_like = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !region.is_empty()
        && region.bytes().all(region_like);
    good.then(|| Scope::new(AccountId::new(account), Region::new(region)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: Option<&str>) {
        let found = ecr_registry(host).map(|scope| format!("{} {}", scope.account, scope.region));
        assert_eq!(found.as_deref(), expected, "{host}");
    }

    #[test]
    fn hosts_of_private_registries_are_known() {
        let ours = Some("000000000000 us-east-1");
        check("000000000000.dkr.ecr.us-east-1.amazonaws.com", ours);
        check("000000000000.dkr.ecr-fips.us-east-1.amazonaws.com", ours);
        check("000000000000.dkr-ecr.us-east-1.on.aws", ours);
        check("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn", Some("111111111111 cn-north-1"));
    }

    #[test]
    fn other_hosts_are_not() {
        for host in [
            "",
            "127.0.0.1:4566",
            "docker.io",
            "000000000000.dkr.ecr.us-east-1.example.com",
            "000000000000.dkr.ecr.us.east.amazonaws.com",
            "00000000000.dkr.ecr.us-east-1.amazonaws.com",
            "000000000000.dkr.ecr..amazonaws.com",
        ] {
            check(host, None);
        }
    }
}
