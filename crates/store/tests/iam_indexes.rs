//! The indexes of IAM's tables are what a look at every row says, whatever happened to the rows before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use outport_model::iam::{AccessKey, InstanceProfile, NameKey, Role, User};
use outport_model::{AccountId, TimestampMs};
use outport_store::keys::{GroupKey, InstanceProfileKey, RoleKey, UserKey};
use outport_store::{ManualClock, Row, SeededIds, Store, Tables, Transaction};
use serde::de::DeserializeOwned;

const CHANGES: u64 = 1_000;
const POLICIES: [&str; 3] = ["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B", "arn:c"];
const NAMES: [&str; 4] = ["Ann", "Bob", "Cyd", "Dan"];

fn golden<R: DeserializeOwned>(name: &str) -> R {
    let path = format!("{}/tests/golden/{name}.v1.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Any sequence will do, if it is the same for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end).unwrap()
    }
    fn some_of<'a>(&mut self, all: &[&'a str]) -> Vec<&'a str> {
        all.iter().filter(|_| self.below(2) > 0).copied().collect()
    }
}

fn accounts() -> [AccountId; 2] {
    [AccountId::new("000000000000"), AccountId::new("111111111111")]
}

fn change(tx: &mut Transaction<'_>, random: &mut Random) {
    let account = accounts()[random.below(2)].clone();
    let name = NAMES[random.below(4)];
    let policies: BTreeSet<String> =
        random.some_of(&POLICIES).into_iter().map(str::to_owned).collect();
    let boundary = random.some_of(&POLICIES[..1]).first().map(|arn| (*arn).to_owned());
    match random.below(6) {
        0 => drop(tx.remove::<User>(&UserKey::new(&account, name))),
        1 => drop(tx.remove::<Role>(&RoleKey::new(&account, name))),
        2 => {
            let groups = random.some_of(&["Red", "Blue"]).into_iter().map(NameKey::of).collect();
            let mut row: User = golden("iam_user");
            (row.account, row.name) = (account, name.to_owned());
            (row.groups, row.permissions_boundary) = (groups, boundary);
            row.policies.attached = policies;
            tx.put(row);
        }
        3 => {
            let mut row: Role = golden("iam_role");
            (row.account, row.name, row.permissions_boundary) =
                (account, name.to_owned(), boundary);
            row.policies.attached = policies;
            tx.put(row);
        }
        4 => {
            let mut row: InstanceProfile = golden("iam_instance_profile");
            row.role = random.some_of(&NAMES).first().map(|role| NameKey::of(role));
            (row.account, row.name) = (account, name.to_owned());
            tx.put(row);
        }
        _ => {
            let mut row: AccessKey = golden("iam_access_key");
            row.id = format!("AKIA{}", random.below(8));
            row.user = random.some_of(&NAMES).first().map(|user| NameKey::of(user));
            row.account = account;
            tx.put(row);
        }
    }
}

fn check(tables: &Tables) {
    for arn in POLICIES {
        let attached: BTreeSet<UserKey> = tables
            .users
            .iter()
            .filter(|row| row.policies.attached.contains(arn))
            .map(|row| row.key())
            .collect();
        assert!(tables.users.with_policy().attached(arn).iter().eq(&attached));
        let bounded: BTreeSet<RoleKey> = tables
            .roles
            .iter()
            .filter(|row| row.permissions_boundary.as_deref() == Some(arn))
            .map(|row| row.key())
            .collect();
        assert!(tables.roles.with_policy().boundary(arn).iter().eq(&bounded));
    }
    for account in accounts() {
        let own = tables.users.iter().filter(|row| row.account == account);
        assert!(tables.users.of_account(&account).eq(own));
        for group in ["red", "blue"] {
            let members: BTreeSet<UserKey> = tables
                .users
                .of_account(&account)
                .filter(|row| row.groups.contains(&NameKey::of(group)))
                .map(|row| row.key())
                .collect();
            assert!(tables.users.in_group(&GroupKey::new(&account, group)).iter().eq(&members));
        }
        for name in NAMES {
            let name = NameKey::of(name);
            let profiles: BTreeSet<InstanceProfileKey> = tables
                .instance_profiles
                .of_account(&account)
                .filter(|row| row.role.as_ref() == Some(&name))
                .map(|row| row.key())
                .collect();
            let role = RoleKey::new(&account, &name);
            assert!(tables.instance_profiles.with_role(&role).iter().eq(&profiles));
            let keys: BTreeSet<String> = tables
                .access_keys
                .iter()
                .filter(|row| row.account == account && row.user.as_ref() == Some(&name))
                .map(|row| row.id.clone())
                .collect();
            assert!(tables.access_keys.of_owner(&account, Some(&name)).iter().eq(&keys));
        }
    }
}

#[tokio::test]
async fn indexes_are_what_the_rows_say() {
    const NOW_MS: TimestampMs = 7;
    let store = Store::in_memory(Arc::new(ManualClock::at(NOW_MS)), Arc::new(SeededIds::new(1)));
    let mut random = Random(1);
    for _ in 0..CHANGES {
        let written = store.write(|tx| {
            change(tx, &mut random);
            Ok::<(), ()>(())
        });
        written.await.unwrap();
        check(&store.snapshot());
    }
}
