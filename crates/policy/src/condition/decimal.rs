//! Numbers as conditions write them: whole or decimal, compared exactly.

/// In billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal(i128);

/// Digits behind the point.
const FRACTION_DIGITS_MAX: usize = 9;
/// Digits before it: more than any number that AWS counts.
const WHOLE_DIGITS_MAX: usize = 20;
const ONE: i128 = 10_i128.pow(FRACTION_DIGITS_MAX as u32);

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Decimal(i128::from(number) * ONE)
    }
}

impl Decimal {
    /// `-12.5`. `None` for anything else, also for what has more digits than are compared.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
            None => (1, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |text: &str, digits_max: usize| {
            (1..=digits_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, WHOLE_DIGITS_MAX) || !is_number(fraction, FRACTION_DIGITS_MAX) {
            return None;
        }
        let billionths = format!("{whole}{fraction:0<FRACTION_DIGITS_MAX$}").parse::<i128>();
        Some(Decimal(sign * billionths.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compared_exactly() {
        let number = |text| Decimal::parse(text).unwrap();
        assert_eq!(number("5"), Decimal::from(5));
        assert_eq!(number("+0.50"), number("0.5"));
        assert!(number("9007199254740993") > number("9007199254740992"));
        assert!(number("-1.5") < number("-1.4"));
        for text in ["", "-", ".5", "5.", "1e3", "NaN", "0x10", " 5", "1.0000000001", "1_000"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(21)), None);
    }
}
