//! All tables together: one consistent state of an installation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::Scope;

use outport_model::account_setting::AccountSetting;
use outport_model::capacity::AddressCursor;
use outport_model::cluster::Cluster;
use outport_model::container_instance::ContainerInstance;
use outport_model::deployment::{ServiceDeployment, ServiceRevision};
use outport_model::event::{EcsChange, EventBus, EventRule, PendingEvent, ScheduledRule};
use outport_model::iam::{
    AccessKey, Account, Group, InstanceProfile, ManagedPolicy, OidcProvider, Role,
    ServerCertificate, User,
};
use outport_model::idempotency::IdempotencyToken;
use outport_model::kms::{KmsAlias, KmsGrant, KmsKey};
use outport_model::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use outport_model::node::Node;
use outport_model::node_identity::NodeIdentity;
use outport_model::parameter::{Parameter, ParameterVersion};
use outport_model::secret::{Secret, SecretValue};
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionFamily};

use crate::capacity::NodeRooms;
use crate::cold::ColdTable;
use crate::error::OpenError;
use crate::journal::{StoredChange, StoredRow};
use crate::load::{join, spawn};
use crate::packed::PackedTable;
use crate::row::Row;
use crate::table::{Keeps, Loaded, Table};
use crate::touched::Watchers;

macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $table:ident<$row:ty>,)+) => {
        /// Every table. A clone is cheap (one pointer a table) and never changes.
        #[derive(Clone, Debug, Default)]
        pub struct Tables {
            $($(#[$doc])* pub $field: Arc<$table<$row>>,)+
            /// What of several tables together makes room for tasks.
            pub rooms: NodeRooms,
        }

        /// The keys that a write or a commit touched, by table.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Touched {
            $(pub $field: BTreeSet<<$row as Row>::Key>,)+
        }

        impl Touched {
            /// Adds what another write touched.
            pub(crate) fn merge(&mut self, other: Self) {
                $(if self.$field.is_empty() {
                    self.$field = other.$field;
                } else {
                    self.$field.extend(other.$field);
                })+
            }
        }

        /// Who waits for which rows.
        #[derive(Default)]
        pub struct WatchersByTable {
            $($field: Arc<Watchers<<$row as Row>::Key>>,)+
        }

        impl WatchersByTable {
            pub(crate) fn tell(&self, touched: &Touched) {
                $(self.$field.tell(&touched.$field);)+
            }
            pub(crate) fn close(&self) {
                $(self.$field.close();)+
            }
        }

        $(impl InTables for $row {
            type Table = $table<$row>;
            fn table(tables: &Tables) -> &Self::Table {
                &tables.$field
            }
            fn table_mut(tables: &mut Tables) -> &mut Self::Table {
                Arc::make_mut(&mut tables.$field)
            }
            fn touched(touched: &mut Touched) -> &mut BTreeSet<Self::Key> {
                &mut touched.$field
            }
            fn watchers(watchers: &WatchersByTable) -> &Arc<Watchers<Self::Key>> {
                &watchers.$field
            }
        })+

        /// Rows of the journal, by table, in no order.
        #[derive(Default)]
        pub(crate) struct LoadedRows {
            $($field: Vec<LoadedRow<$row>>,)+
        }

        impl LoadedRows {
            /// Reads a row of the journal.
            pub(crate) fn add(&mut self, stored: StoredRow) -> Result<(), (StoredRow, Unreadable)> {
                match stored.table.as_str() {
                    $(<$row as Row>::TABLE => load_into(&mut self.$field, stored),)+
                    _ => Err((stored, Unreadable::UnknownTable)),
                }
            }

            pub(crate) fn append(&mut self, mut others: Self) {
                $(self.$field.append(&mut others.$field);)+
            }

            /// The tables, but for the rooms of nodes.
            pub(crate) fn into_tables<'scope>(
                self,
                scope: &'scope Scope<'scope, '_>,
            ) -> Result<Tables, OpenError> {
                $(let $field = spawn(scope, "build a table", move || build::<$row>(self.$field))?;)+
                Ok(Tables { $($field: Arc::new(join($field)),)+ rooms: NodeRooms::default() })
            }
        }

        impl Tables {
            /// Does what another process did.
            pub(crate) fn apply(
                &mut self,
                change: &StoredChange,
                touched: &mut Touched,
            ) -> Result<(), Unreadable> {
                let Some(named) = change.row.as_ref().or(change.old.as_ref()) else { return Ok(()) };
                match named.table.as_str() {
                    $(<$row as Row>::TABLE => apply_to::<$row>(self, change, named, touched),)+
                    _ => Err(Unreadable::UnknownTable),
                }
            }
        }
    };
}

tables! {
    clusters: Table<Cluster>,
    /// Of the revisions that were registered few are run.
    task_definitions: PackedTable<TaskDefinition>,
    /// The last revision of each family; outlives the revisions.
    families: Table<TaskDefinitionFamily>,
    services: Table<Service>,
    service_deployments: Table<ServiceDeployment>,
    service_revisions: ColdTable<ServiceRevision>,
    tasks: Table<Task>,
    nodes: Table<Node>,
    /// The keys of nodes; outlives what the nodes say of themselves.
    node_identities: ColdTable<NodeIdentity>,
    container_instances: Table<ContainerInstance>,
    vpcs: ColdTable<Vpc>,
    subnets: ColdTable<Subnet>,
    security_groups: ColdTable<SecurityGroup>,
    network_interfaces: Table<NetworkInterface>,
    address_cursors: Table<AddressCursor>,
    account_settings: ColdTable<AccountSetting>,
    idempotency_tokens: Table<IdempotencyToken>,
    accounts: ColdTable<Account>,
    users: ColdTable<User>,
    groups: ColdTable<Group>,
    roles: ColdTable<Role>,
    managed_policies: ColdTable<ManagedPolicy>,
    access_keys: ColdTable<AccessKey>,
    instance_profiles: ColdTable<InstanceProfile>,
    oidc_providers: ColdTable<OidcProvider>,
    server_certificates: ColdTable<ServerCertificate>,
    secrets: ColdTable<Secret>,
    /// The sealed values of the versions of secrets.
    secret_values: ColdTable<SecretValue>,
    parameters: ColdTable<Parameter>,
    parameter_versions: ColdTable<ParameterVersion>,
    kms_keys: ColdTable<KmsKey>,
    kms_aliases: ColdTable<KmsAlias>,
    /// What principals may do with keys, beside their policies.
    kms_grants: ColdTable<KmsGrant>,
    event_buses: ColdTable<EventBus>,
    event_rules: ColdTable<EventRule>,
    scheduled_rules: ColdTable<ScheduledRule>,
    /// Until they are delivered.
    pending_events: ColdTable<PendingEvent>,
}

/// What hangs on a row beyond its own table.
pub trait Related: Row {
    /// Called when a row was put (`new`) or removed, after its table has it so: touches the rows of other tables that
    /// it belongs to, for whoever waits for those.
    fn relate(
        _tables: &mut Tables,
        _old: Option<&Self>,
        _new: Option<&Self>,
        _touched: &mut Touched,
    ) {
    }

    /// What of the change is an event of ECS that a rule may want; the event is written in the same transaction.
    fn events(_tables: &Tables, _old: Option<&Self>, _new: Option<&Self>) -> Vec<EcsChange> {
        Vec::new()
    }
}

/// A row that has a table here.
pub trait InTables: Related {
    type Table: Keeps<Self>;
    fn table(tables: &Tables) -> &Self::Table;
    #[doc(hidden)]
    fn table_mut(tables: &mut Tables) -> &mut Self::Table;
    #[doc(hidden)]
    fn touched(touched: &mut Touched) -> &mut BTreeSet<Self::Key>;
    #[doc(hidden)]
    fn watchers(watchers: &WatchersByTable) -> &Arc<Watchers<Self::Key>>;
}

/// Why a row of the journal does not become a row of a table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("no table of this name is known")]
    UnknownTable,
    #[error("its format is {found}, this version knows up to {known}")]
    Newer { found: u32, known: u32 },
    #[error("{0}")]
    Malformed(serde_json::Error),
    #[error("it belongs under the key {0}")]
    OtherKey(String),
}

fn read<R: InTables>(stored: &StoredRow) -> Result<R, Unreadable> {
    if stored.version > R::VERSION {
        return Err(Unreadable::Newer { found: stored.version, known: R::VERSION });
    }
    let row = R::read(stored.version, stored.bytes.as_bytes()).map_err(Unreadable::Malformed)?;
    let key = row.key().to_string();
    if key != stored.key {
        return Err(Unreadable::OtherKey(key));
    }
    Ok(row)
}

type LoadedRow<R> = Loaded<R, <<R as InTables>::Table as Keeps<R>>::Prepared>;

fn load_into<R: InTables>(
    rows: &mut Vec<LoadedRow<R>>,
    stored: StoredRow,
) -> Result<(), (StoredRow, Unreadable)> {
    let mut row = match read::<R>(&stored) {
        Ok(row) => row,
        Err(reason) => return Err((stored, reason)),
    };
    // Rows that were written one after the other have most of it in common.
    if let Some(beside) = rows.last() {
        row.share(&beside.key);
    }
    let prepared = R::Table::prepare(&mut row, stored);
    rows.push(LoadedRow::<R> { key: row.key(), row: Arc::new(row), prepared });
    Ok(())
}

/// In the order of the keys: what a tree touches for one row it touches for the next.
fn build<R: InTables>(mut rows: Vec<LoadedRow<R>>) -> R::Table {
    rows.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    let mut beside: Option<&R::Key> = None;
    for loaded in &mut rows {
        if let (Some(beside), Some(row)) = (beside, Arc::get_mut(&mut loaded.row)) {
            row.share(beside);
            loaded.key = row.key();
        }
        beside = Some(&loaded.key);
    }
    R::Table::build(rows)
}

fn apply_to<R: InTables>(
    tables: &mut Tables,
    change: &StoredChange,
    named: &StoredRow,
    touched: &mut Touched,
) -> Result<(), Unreadable> {
    let key = read::<R>(named)?.key();
    let row = change.row.as_ref().map(read::<R>).transpose()?;
    let old = R::table(tables).row(&key);
    match &row {
        Some(row) => drop(R::table_mut(tables).insert(row.clone())),
        None => drop(R::table_mut(tables).remove(&key)),
    }
    R::touched(touched).insert(key);
    R::relate(tables, old.as_deref(), row.as_ref(), touched);
    Ok(())
}
