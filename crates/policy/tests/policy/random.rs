//! Policies and requests by chance, of few letters and names, so that they often have to do with each other.

use serde_json::{Map, Value as Json, json};

use crate::naive::PRINCIPALS;
use crate::naive_conditions::{BYTES, DATES};

/// The same seed, the same numbers. Source: SplitMix64, by Sebastiano Vigna, in the public domain.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

const KEYS: [&str; 7] =
    ["k", "K", "aws:username", "aws:TagKeys", "aws:PrincipalTag/Team", "aws:RequestTag/a", "n"];

/// Operators without qualifier, each with the values that it takes.
const OPERATORS: [(&str, Values); 27] = [
    ("StringEquals", Values::Texts),
    ("StringNotEquals", Values::Texts),
    ("StringEqualsIgnoreCase", Values::Texts),
    ("StringNotEqualsIgnoreCase", Values::Texts),
    ("StringLike", Values::Texts),
    ("StringNotLike", Values::Texts),
    ("NumericEquals", Values::Numbers),
    ("NumericNotEquals", Values::Numbers),
    ("NumericLessThan", Values::Numbers),
    ("NumericLessThanEquals", Values::Numbers),
    ("NumericGreaterThan", Values::Numbers),
    ("NumericGreaterThanEquals", Values::Numbers),
    ("DateEquals", Values::Dates),
    ("DateNotEquals", Values::Dates),
    ("DateLessThan", Values::Dates),
    ("DateLessThanEquals", Values::Dates),
    ("DateGreaterThan", Values::Dates),
    ("DateGreaterThanEquals", Values::Dates),
    ("Bool", Values::Truths),
    ("BinaryEquals", Values::Bytes),
    ("IpAddress", Values::Networks),
    ("NotIpAddress", Values::Networks),
    ("ArnEquals", Values::Arns),
    ("ArnLike", Values::Arns),
    ("ArnNotEquals", Values::Arns),
    ("ArnNotLike", Values::Arns),
    ("Null", Values::Absent),
];

#[derive(Clone, Copy)]
enum Values {
    Texts,
    Numbers,
    Dates,
    Truths,
    Bytes,
    Networks,
    Arns,
    Absent,
}

const VARIABLES: [&str; 7] = [
    "${aws:username}",
    "${AWS:principaltag/team, 'a'}",
    "${k}",
    "${aws:TagKeys}",
    "${*}",
    "${?}",
    "${$}",
];

/// A text of few letters, perhaps with wildcards and variables.
fn pattern(dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(6) {
        match dice.below(12) {
            0..=1 => text.push('*'),
            2 => text.push('?'),
            3 => text.push_str(dice.pick(&VARIABLES)),
            _ => text.push_str(dice.pick(&["a", "b", "B", "/", "é"])),
        }
    }
    text
}

fn word(dice: &mut Dice) -> String {
    (0..dice.below(5)).map(|_| dice.pick(&["a", "a", "b", "B", "/", "*", "é"])).collect()
}

fn arn_pattern(dice: &mut Dice) -> String {
    let region = dice.pick(&["", "*", "us-east-1", "us-*"]);
    let account = dice.pick(&["", "*", "111111111111", "11111111111?"]);
    match dice.below(12) {
        0 => "*".to_owned(),
        1 => dice
            .pick(&["arn:aws:ecs", "arn:aws:ecs:us-east-1", "arn:aws:s3:::b", "arn:*:ecs:*:*:*"])
            .to_owned(),
        2 => format!("arn:aws:ecs:us-east-1:${{k}}:{}", pattern(dice)),
        3..=6 => format!("arn:aws:s3:::{}", pattern(dice)),
        _ => format!("arn:aws:ecs:{region}:{account}:{}", pattern(dice)),
    }
}

fn arn(dice: &mut Dice) -> String {
    let place = dice.pick(&[
        "s3::",
        "ecs:us-east-1:111111111111",
        "ecs:us-east-1:222222222222",
        "ecs:eu-west-1:",
    ]);
    format!("arn:aws:{place}:{}", word(dice))
}

/// One, or a list.
fn some(dice: &mut Dice, mut one: impl FnMut(&mut Dice) -> Json) -> Json {
    if dice.one_in(2) {
        return one(dice);
    }
    let count = 1 + dice.below(3);
    (0..count).map(|_| one(dice)).collect()
}

fn action_pattern(dice: &mut Dice) -> Json {
    let patterns = [
        "*",
        "s3:*",
        "s3:GetObject",
        "S3:getobject",
        "s3:Get*",
        "s3:*Object",
        "s3:?etObject",
        "ecs:*",
        "ecs:RunTask",
        "ecs:*un*",
        "*:Get*",
        "s3:",
    ];
    dice.pick(&patterns).into()
}

pub fn action(dice: &mut Dice) -> &'static str {
    dice.pick(&["s3:GetObject", "s3:PutObject", "S3:GETOBJECT", "ecs:RunTask", "ecs:Run", "s3:Get"])
}

pub fn resource(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => "*".to_owned(),
        1 => dice.pick(&["task/a", "arn:aws:s3", "urn:aws:s3:::a"]).to_owned(),
        _ => arn(dice),
    }
}

fn condition_value(dice: &mut Dice, values: Values) -> Json {
    match values {
        Values::Texts => pattern(dice).into(),
        Values::Numbers if dice.one_in(3) => (dice.below(4) as i64 - 1).into(),
        Values::Numbers => dice.pick(&["0", "1", "1.5", "-1", "2"]).into(),
        Values::Dates if dice.one_in(3) => dice.pick(&["0", "1767323045"]).into(),
        Values::Dates => DATES[dice.below(DATES.len())].0.into(),
        Values::Truths => match dice.below(4) {
            0 => dice.one_in(2).into(),
            1 => "${k}".into(),
            _ => dice.pick(&["true", "False"]).into(),
        },
        Values::Bytes => BYTES[dice.below(BYTES.len())].0.into(),
        Values::Networks => dice
            .pick(&["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "10.1.128.0/17", "10.1.2.3/30"])
            .into(),
        Values::Arns if dice.one_in(6) => dice.pick(&["*", "arn:aws:s3", "a:b:c:d:e:f"]).into(),
        Values::Arns => arn_pattern(dice).into(),
        Values::Absent => dice.pick(&["true", "false"]).into(),
    }
}

fn conditions(dice: &mut Dice, new: bool) -> Json {
    let mut conditions = Map::new();
    for _ in 0..1 + dice.below(2) {
        let (name, values) = OPERATORS[dice.below(OPERATORS.len())];
        let qualifier = dice.pick(&["", "", "", "ForAllValues:", "ForAnyValue:"]);
        let end = if name != "Null" && dice.one_in(4) { "IfExists" } else { "" };
        let mut keys = Map::new();
        for _ in 0..1 + dice.below(2) {
            // In the old version a variable for a truth would be no truth.
            let is_old_truth = matches!(values, Values::Truths) && !new;
            let one = |dice: &mut Dice| loop {
                let value = condition_value(dice, values);
                if !(is_old_truth && value == "${k}") {
                    return value;
                }
            };
            keys.insert(dice.pick(&KEYS).to_owned(), some(dice, one));
        }
        conditions.insert(format!("{qualifier}{name}{end}"), keys.into());
    }
    conditions.into()
}

fn principals(dice: &mut Dice) -> Json {
    if dice.one_in(6) {
        return "*".into();
    }
    let aws = ["*", "111111111111", "222222222222", "arn:aws:iam::111111111111:root"];
    let mut kinds = Map::new();
    let one = |dice: &mut Dice| -> Json {
        if dice.one_in(2) {
            return dice.pick(&aws).into();
        }
        let (_, who) = &PRINCIPALS[dice.below(PRINCIPALS.len())];
        let names = [who.name, who.parent, who.ids.0, who.ids.1];
        let name = names[dice.below(names.len())];
        if name.starts_with('A') || name.starts_with("arn:") && who.kind != "token" {
            name.into()
        } else {
            "111111111111".into()
        }
    };
    kinds.insert("AWS".into(), some(dice, one));
    if dice.one_in(3) {
        kinds.insert(
            "Service".into(),
            dice.pick(&["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"]).into(),
        );
    }
    if dice.one_in(3) {
        let providers =
            ["accounts.google.com", "arn:aws:iam::111111111111:oidc-provider/id.example.com"];
        kinds.insert("Federated".into(), dice.pick(&providers).into());
    }
    kinds.into()
}

/// What a document is for.
#[derive(Clone, Copy, PartialEq)]
pub enum For {
    Principal,
    Resource,
}

/// A document with one to three statements, which [`outport_policy::Policy::compile`] takes.
pub fn document(dice: &mut Dice, kind: For) -> Json {
    let new = !dice.one_in(5);
    let count = 1 + dice.below(3);
    let statements: Vec<_> = (0..count).map(|_| statement(dice, kind, new)).collect();
    let version = if new { "2012-10-17" } else { "2008-10-17" };
    json!({ "Version": version, "Statement": statements })
}

fn statement(dice: &mut Dice, kind: For, new: bool) -> Json {
    let effect = if dice.one_in(3) { "Deny" } else { "Allow" };
    let mut statement = json!({ "Effect": effect });
    let action = if dice.one_in(6) { "NotAction" } else { "Action" };
    statement[action] = some(dice, action_pattern);
    let resource = if dice.one_in(5) { "NotResource" } else { "Resource" };
    statement[resource] = some(dice, |dice| arn_pattern(dice).into());
    if dice.one_in(2) {
        statement["Condition"] = conditions(dice, new);
    }
    if kind == For::Resource {
        let negated = effect == "Deny" && dice.one_in(2);
        statement[if negated { "NotPrincipal" } else { "Principal" }] = principals(dice);
    }
    statement
}

/// Condition keys and values, in the form of [`crate::support::Circumstances`].
pub fn context(dice: &mut Dice) -> Json {
    let mut context = Map::new();
    for key in
        ["k", "aws:username", "aws:tagkeys", "aws:principaltag/team", "aws:requesttag/a", "n"]
    {
        if dice.one_in(4) {
            continue;
        }
        let value: Json = match (key, dice.below(9)) {
            ("aws:tagkeys", _) => (0..dice.below(4)).map(|_| word(dice)).collect(),
            ("aws:username", _) | (_, 0..=1) => word(dice).into(),
            (_, 2) => (dice.below(4) as i64 - 1).into(),
            (_, 3) => dice.one_in(2).into(),
            (_, 4) => json!({ "date": DATES[dice.below(2)].1 }),
            (_, 5) => json!({ "address": dice.pick(&["10.1.2.3", "10.1.200.3", "11.0.0.1"]) }),
            (_, 6) => json!({ "bytes": dice.pick(&["a", "ab", "x"]) }),
            (_, 7) => arn(dice).into(),
            _ => dice.pick(&["1", "true", "10.1.2.3", "1767323045", "two"]).into(),
        };
        context.insert(key.to_owned(), value);
    }
    context.into()
}
