//! Which images a lifecycle policy expires.
//!
//! Source: Amazon ECR user guide, "How lifecycle policies work": all rules look at all images as if none were expired yet;
//! an image that a rule selects is no other rule's of a lower priority; older images go before younger ones; an image that
//! an image list has cannot go before the list.

use outport_model::TimestampMs;

use super::policy::{Count, LifecyclePolicy, Rule, Selection};
use crate::tag_mutability::matches_wildcard;
use crate::{Digest, ImageTag};

/// An image that rules may select.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    pub(super) tags: Vec<ImageTag>,
    pub(super) pushed_at_ms: TimestampMs,
}

/// An image that goes, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiringImage {
    pub digest: Digest,
    pub tags: Vec<ImageTag>,
    pub pushed_at_ms: TimestampMs,
    pub rule_priority: i32,
}

impl LifecyclePolicy {
    /// The images that go, the oldest first. `age_ms` says how long ago a stamp was made.
    pub(super) fn expiring(
        &self,
        mut images: Vec<Candidate>,
        age_ms: impl Fn(TimestampMs) -> i64,
    ) -> Vec<ExpiringImage> {
        images.sort_by(|one, other| {
            (other.pushed_at_ms, &other.digest).cmp(&(one.pushed_at_ms, &one.digest))
        });
        let mut is_selected = vec![false; images.len()];
        let mut expiring = Vec::new();
        for rule in &self.rules {
            let youngest_first = (0..images.len()).filter(|at| rule.selects(&images[*at]));
            for (younger_ones, at) in youngest_first.enumerate() {
                let goes = rule.expires(younger_ones, age_ms(images[at].pushed_at_ms));
                if goes && !is_selected[at] {
                    expiring.push((at, rule.priority));
                }
                is_selected[at] = true;
            }
        }
        expiring.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let shown = |(at, rule_priority): (usize, i32)| {
            let Candidate { digest, tags, pushed_at_ms } = images[at].clone();
            ExpiringImage { digest, tags, pushed_at_ms, rule_priority }
        };
        expiring.into_iter().map(shown).collect()
    }
}

impl Rule {
    fn selects(&self, image: &Candidate) -> bool {
        let has = |is_it: &dyn Fn(&str) -> bool| image.tags.iter().any(|tag| is_it(tag.as_str()));
        match &self.selection {
            Selection::Any => true,
            Selection::Untagged => image.tags.is_empty(),
            Selection::Prefixes(prefixes) => {
                prefixes.iter().all(|prefix| has(&|tag| tag.starts_with(prefix.as_str())))
            }
            Selection::Patterns(patterns) => {
                patterns.iter().all(|pattern| has(&|tag| matches_wildcard(pattern, tag)))
            }
        }
    }

    fn expires(&self, younger_ones: usize, age_ms: i64) -> bool {
        match self.count {
            Count::MoreThan(kept) => younger_ones >= kept,
            Count::Age(age_max_ms) => age_ms > age_max_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    const NOW_DAYS: i64 = 1_000;
    const DAY_MS: i64 = 24 * 3600 * 1000;

    /// `images`: name, tags, age in days. `expected`: names and rules of those that go, the oldest first.
    #[track_caller]
    fn check(rules: &str, images: &[(&str, &str, i64)], expected: &[(&str, i32)]) {
        let policy = LifecyclePolicy::parse(&format!(r#"{{"rules":[{rules}]}}"#)).expect("rules");
        let digest = |name: &str| Digest::of(Algorithm::Sha256, name.as_bytes());
        let candidates = images.iter().map(|(name, tags, age_days)| Candidate {
            digest: digest(name),
            tags: tags.split_whitespace().map(|tag| tag.parse().expect("a tag")).collect(),
            pushed_at_ms: (NOW_DAYS - age_days) * DAY_MS,
        });
        let found = policy.expiring(candidates.collect(), |stamp| NOW_DAYS * DAY_MS - stamp);
        let name = |wanted: &Digest| {
            images
                .iter()
                .map(|image| image.0)
                .find(|name| digest(name) == *wanted)
                .expect("one of them")
        };
        let found: Vec<_> =
            found.iter().map(|image| (name(&image.digest), image.rule_priority)).collect();
        assert_eq!(found, expected);
    }

    fn rule(priority: i32, selection: &str, count: &str) -> String {
        format!(
            r#"{{"rulePriority":{priority},"selection":{{{selection},{count}}},"action":{{"type":"expire"}}}}"#
        )
    }

    fn prefix(text: &str) -> String {
        format!(r#""tagStatus":"tagged","tagPrefixList":["{text}"]"#)
    }

    const UNTAGGED: &str = r#""tagStatus":"untagged""#;
    const ANY: &str = r#""tagStatus":"any""#;
    const ONE: &str = r#""countType":"imageCountMoreThan","countNumber":1"#;
    const DAYS: &str = r#""countType":"sinceImagePushed","countUnit":"days","countNumber":14"#;

    #[test]
    fn one_rule_by_age_or_by_count() {
        let images = [("a", "", 15), ("b", "", 14), ("c", "v1", 20), ("d", "", 1)];
        check(&rule(1, UNTAGGED, DAYS), &images, &[("a", 1)]);
        check(&rule(1, UNTAGGED, ONE), &images, &[("a", 1), ("b", 1)]);
        check(&rule(1, ANY, ONE), &images, &[("c", 1), ("a", 1), ("b", 1)]);
        check(&rule(1, ANY, DAYS), &images, &[("c", 1), ("a", 1)]);
        check(&rule(1, ANY, ONE), &[], &[]);
        check(&rule(1, ANY, ONE), &images[..1], &[]);
    }

    /// Source of the cases: user guide, "Examples of lifecycle policies", "Filtering on multiple rules".
    #[test]
    fn an_image_is_one_rules_only() {
        let images = [("a", "beta-1 prod-1", 10), ("b", "beta-2 prod-2", 9), ("c", "beta-3", 8)];
        let (beta, prod) = (prefix("beta"), prefix("prod"));
        let prod_first = [rule(1, &prod, ONE), rule(2, &beta, ONE)].join(",");
        check(&prod_first, &images, &[("a", 1)]);
        let beta_first = [rule(1, &beta, ONE), rule(2, &prod, ONE)].join(",");
        check(&beta_first, &images, &[("a", 1), ("b", 1)]);
        let and_any = [rule(1, &prod, ONE), rule(2, ANY, ONE)].join(",");
        check(&and_any, &[("a", "prod-1", 9), ("b", "x", 8), ("c", "y", 7)], &[("b", 2)]);
    }

    #[test]
    fn all_prefixes_or_patterns_of_a_rule_have_to_match() {
        let both = r#""tagStatus":"tagged","tagPrefixList":["alpha","beta"]"#;
        let images = [
            ("a", "alpha-1", 9),
            ("b", "beta-1", 9),
            ("c", "alpha-2 beta-2", 9),
            ("d", "alpha beta", 8),
        ];
        check(&rule(1, both, ONE), &images, &[("c", 1)]);
        let pattern = r#""tagStatus":"tagged","tagPatternList":["*-rc*"]"#;
        let images = [("a", "v1-rc1", 9), ("b", "v1", 8), ("c", "v2-rc1", 7), ("d", "", 6)];
        check(&rule(1, pattern, ONE), &images, &[("a", 1)]);
    }
}
