//! Which regions an installation serves.

use std::fmt;

use crate::Region;

/// The regions of AWS's commercial partition. Source: "AWS Regions" in the AWS Regions and Availability Zones guide, late 2026.
const COMMERCIAL: [&str; 36] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "me-west-1",
    "mx-central-1",
    "sa-east-1",
    "sa-west-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
const CHINA: [&str; 2] = ["cn-north-1", "cn-northwest-1"];
const US_GOVERNMENT: [&str; 2] = ["us-gov-east-1", "us-gov-west-1"];

/// The own region, and those that are served beside it.
///
/// `Display` names them all, the own one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions(Vec<Region>);

impl Regions {
    /// Each once, whatever is in `others`.
    pub fn new(own: Region, others: impl IntoIterator<Item = Region>) -> Self {
        let mut all = vec![own];
        for region in others {
            if !all.contains(&region) {
                all.push(region);
            }
        }
        Self(all)
    }

    /// All of the partition that a region is in.
    pub fn of_partition(own: Region) -> Self {
        let names: &[&str] = if own.as_str().starts_with("cn-") {
            &CHINA
        } else if own.as_str().starts_with("us-gov-") {
            &US_GOVERNMENT
        } else {
            &COMMERCIAL
        };
        Self::new(own, names.iter().map(Region::new))
    }

    /// What is meant where nobody says which; services without regions are there.
    pub fn own(&self) -> &Region {
        &self.0[0]
    }

    /// The region of that name, if it is served.
    pub fn named(&self, name: &str) -> Option<&Region> {
        self.iter().find(|region| region.as_str() == name)
    }

    /// The own one first.
    pub fn iter(&self) -> std::slice::Iter<'_, Region> {
        self.0.iter()
    }
}

impl From<Region> for Regions {
    fn from(own: Region) -> Self {
        Self(vec![own])
    }
}

impl fmt::Display for Regions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, region) in self.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(formatter, "{comma}{region}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: &str, count: usize, has: &str, has_not: &str) {
        let regions = Regions::of_partition(Region::new(own));
        assert_eq!(regions.own().as_str(), own);
        assert_eq!(regions.iter().count(), count);
        assert!(regions.named(has).is_some() && regions.named(has_not).is_none());
    }

    #[test]
    fn a_partition_has_its_regions_and_the_own_one() {
        check("eu-west-1", 36, "us-east-1", "cn-north-1");
        check("edge-1", 37, "us-west-2", "us-gov-west-1");
        check("cn-north-1", 2, "cn-northwest-1", "us-east-1");
        check("us-gov-west-1", 2, "us-gov-east-1", "us-east-1");
    }

    #[test]
    fn each_is_there_once() {
        let [own, other] = ["eu-west-1", "us-east-1"].map(Region::new);
        let regions = Regions::new(own.clone(), [other.clone(), own.clone(), other]);
        assert_eq!(regions.to_string(), "eu-west-1, us-east-1");
        assert_eq!(Regions::from(own).to_string(), "eu-west-1");
    }
}
