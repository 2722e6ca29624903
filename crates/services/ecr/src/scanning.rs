//! Which images are to be scanned: kept and answered, since clients set it; nothing here scans.

use outport_aws_ecr::{
    EcrError, RegistryScanningConfiguration, RegistryScanningRule, ScanFrequency, ScanType,
    ScanningRepositoryFilter, ScanningRepositoryFilterType,
};
use outport_aws_wire::WireError;
use outport_image_registry::{Registry, RegistryError, RegistrySetting, matches_wildcard};
use outport_model::Scope;
use serde::{Deserialize, Serialize};

use crate::rejection::invalid_parameter;

/// What is kept of a registry's configuration: AWS's words, so that what an older version wrote is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scanning {
    #[serde(default)]
    scan_type: Option<String>,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    frequency: String,
    filters: Vec<String>,
}

impl Scanning {
    /// # Errors
    /// `InvalidParameterException`. Source: API reference, `RegistryScanningRule`: "When the ENHANCED scan type is specified,
    /// the supported scan frequencies are CONTINUOUS_SCAN and SCAN_ON_PUSH. When the BASIC scan type is specified, the
    /// SCAN_ON_PUSH scan frequency is supported." The text is ours.
    pub(crate) fn parse(
        scan_type: Option<ScanType>,
        rules: Vec<RegistryScanningRule>,
    ) -> Result<Self, EcrError> {
        let scan_type = scan_type.unwrap_or(ScanType::Basic);
        let rules = rules.into_iter().map(|rule| {
            let frequency = rule.scan_frequency.unwrap_or(ScanFrequency::Manual);
            let is_supported = match frequency {
                ScanFrequency::ScanOnPush => true,
                ScanFrequency::ContinuousScan => scan_type == ScanType::Enhanced,
                ScanFrequency::Manual => false,
            };
            if !is_supported {
                let constraint = format!(
                    "the scan frequency {frequency} is not supported with the scan type {scan_type}"
                );
                return Err(invalid_parameter("rules", &constraint));
            }
            let filters = rule.repository_filters.unwrap_or_default();
            let filters = filters.into_iter().filter_map(|filter| filter.filter).collect();
            Ok(Rule { frequency: frequency.to_string(), filters })
        });
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Self { scan_type: Some(scan_type.to_string()), rules })
    }

    /// What is set for the registry; what cannot be read is as nothing.
    pub(crate) fn of(registry: &Registry, scope: &Scope) -> Result<Self, RegistryError> {
        let text = registry.setting(scope, RegistrySetting::Scanning)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    pub(crate) fn keep(&self, registry: &Registry, scope: &Scope) -> Result<(), EcrError> {
        let text = serde_json::to_string(self)
            .map_err(|error| WireError::internal(format!("no JSON form: {error}")))?;
        let kept = registry.put_setting(scope, RegistrySetting::Scanning, Some(&text));
        kept.map(drop).map_err(|error| crate::rejection::rejection(error, scope, None))
    }

    pub(crate) fn view(&self) -> RegistryScanningConfiguration {
        let rules = self.rules.iter().map(|rule| RegistryScanningRule {
            scan_frequency: ScanFrequency::from_name(&rule.frequency),
            repository_filters: Some(rule.filters.iter().map(|filter| shown(filter)).collect()),
        });
        let scan_type = self.scan_type.as_deref().and_then(ScanType::from_name);
        RegistryScanningConfiguration {
            scan_type: Some(scan_type.unwrap_or(ScanType::Basic)),
            rules: Some(rules.collect()),
        }
    }

    /// How often a repository is to be scanned, and by which filters: the most frequent of the rules that match, else what
    /// the repository itself says.
    pub(crate) fn applied(
        &self,
        repository: &str,
        scan_on_push: bool,
    ) -> (ScanFrequency, Vec<ScanningRepositoryFilter>) {
        let filters = |frequency: ScanFrequency| -> Vec<ScanningRepositoryFilter> {
            let rules = self.rules.iter().filter(|rule| rule.frequency == frequency.to_string());
            let filters = rules.flat_map(|rule| &rule.filters);
            filters.filter(|filter| selects(filter, repository)).map(|one| shown(one)).collect()
        };
        for frequency in [ScanFrequency::ContinuousScan, ScanFrequency::ScanOnPush] {
            let filters = filters(frequency);
            if !filters.is_empty() {
                return (frequency, filters);
            }
        }
        let own = if scan_on_push { ScanFrequency::ScanOnPush } else { ScanFrequency::Manual };
        (own, Vec::new())
    }
}

/// Source: user guide, "Filters to choose which repositories are scanned": without `*`, names that contain it match.
fn selects(filter: &str, repository: &str) -> bool {
    match filter.contains('*') {
        true => matches_wildcard(filter, repository),
        false => repository.contains(filter),
    }
}

fn shown(filter: &str) -> ScanningRepositoryFilter {
    ScanningRepositoryFilter {
        filter: Some(filter.to_owned()),
        filter_type: Some(ScanningRepositoryFilterType::Wildcard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(frequency: ScanFrequency, filter: &str) -> RegistryScanningRule {
        RegistryScanningRule {
            scan_frequency: Some(frequency),
            repository_filters: Some(vec![shown(filter)]),
        }
    }

    #[test]
    fn the_most_frequent_rule_that_matches_applies() {
        let (push, always) = (ScanFrequency::ScanOnPush, ScanFrequency::ContinuousScan);
        let rules = vec![rule(push, "*"), rule(always, "prod")];
        let refused = Scanning::parse(Some(ScanType::Basic), rules.clone());
        assert!(refused.is_err(), "BASIC scans on push only");
        let scanning = Scanning::parse(Some(ScanType::Enhanced), rules).expect("good rules");
        let check = |name: &str, frequency, filter: &str| {
            let (found, filters) = scanning.applied(name, false);
            let filters: Vec<_> = filters.into_iter().filter_map(|one| one.filter).collect();
            assert_eq!((found, filters), (frequency, vec![filter.to_owned()]), "{name}");
        };
        check("app/prod", always, "prod");
        check("app/dev", push, "*");
        let (own, _) = Scanning::default().applied("app", true);
        assert_eq!(own, push);
        assert_eq!(Scanning::default().applied("app", false).0, ScanFrequency::Manual);
    }

    #[test]
    fn what_the_first_version_kept_is_read() {
        let text =
            r#"{"scan_type":"ENHANCED","rules":[{"frequency":"SCAN_ON_PUSH","filters":["a*"]}]}"#;
        let read: Scanning = serde_json::from_str(text).expect("it is read");
        let expected =
            Scanning::parse(Some(ScanType::Enhanced), vec![rule(ScanFrequency::ScanOnPush, "a*")]);
        assert_eq!(Ok(read), expected);
    }
}
