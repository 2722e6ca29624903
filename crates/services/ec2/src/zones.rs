//! The availability zones of a region: their names and ids.
//!
//! A machine of its own has no zones; a new account's default subnets are spread over them all the same, so that
//! what is written for AWS finds the zones that it expects.

use outport_model::Region;

/// One availability zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Such as `us-east-1a`.
    pub name: String,
    /// Such as `use1-az1`.
    pub id: String,
}

/// The zones of a region: six in us-east-1, three elsewhere.
pub fn of(region: &Region) -> Vec<Zone> {
    let letters = if region.as_str() == "us-east-1" { 'a'..='f' } else { 'a'..='c' };
    let prefix = id_prefix(region.as_str());
    letters
        .enumerate()
        .map(|(index, letter)| Zone {
            name: format!("{region}{letter}"),
            id: format!("{prefix}-az{}", index + 1),
        })
        .collect()
}

/// `us-east-1` is `use1`, `ap-southeast-2` is `apse2`, `us-gov-west-1` is `usgw1`.
/// Source: "Availability Zone IDs for your AWS resources" in the AWS RAM User Guide.
fn id_prefix(region: &str) -> String {
    let parts = region.split('-').enumerate();
    parts.map(|(index, part)| if index == 0 { part } else { initials(part) }).collect()
}

fn initials(part: &str) -> &str {
    match part {
        "northeast" => "ne",
        "northwest" => "nw",
        "southeast" => "se",
        "southwest" => "sw",
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => number,
        word => word.get(..1).unwrap_or(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(region: &str, first: &str, count: usize) {
        let zones = of(&Region::new(region));
        assert_eq!(format!("{} {}", zones[0].name, zones[0].id), first);
        assert_eq!(zones.len(), count);
    }

    #[test]
    fn zones_are_named_as_aws_names_them() {
        check("us-east-1", "us-east-1a use1-az1", 6);
        check("eu-west-1", "eu-west-1a euw1-az1", 3);
        check("ap-southeast-2", "ap-southeast-2a apse2-az1", 3);
        check("us-gov-west-1", "us-gov-west-1a usgw1-az1", 3);
        check("eu-central-1", "eu-central-1a euc1-az1", 3);
    }
}
