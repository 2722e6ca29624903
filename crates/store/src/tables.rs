//! All tables together: one consistent state of an installation.

use std::collections::BTreeSet;
use std::sync::Arc;

use outport_model::account_setting::AccountSetting;
use outport_model::capacity::AddressCursor;
use outport_model::cluster::Cluster;
use outport_model::container_instance::ContainerInstance;
use outport_model::deployment::{ServiceDeployment, ServiceRevision};
use outport_model::idempotency::IdempotencyToken;
use outport_model::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use outport_model::node::Node;
use outport_model::node_identity::NodeIdentity;
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionFamily};

use crate::capacity::NodeRooms;
use crate::journal::{StoredChange, StoredRow};
use crate::row::Row;
use crate::table::Table;
use crate::touched::Watchers;

macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $row:ty,)+) => {
        /// Every table. A clone is cheap (one pointer a table) and never changes.
        #[derive(Clone, Debug, Default)]
        pub struct Tables {
            $($(#[$doc])* pub $field: Arc<Table<$row>>,)+
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
            fn table(tables: &Tables) -> &Table<Self> {
                &tables.$field
            }
            fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
                Arc::make_mut(&mut tables.$field)
            }
            fn touched(touched: &mut Touched) -> &mut BTreeSet<Self::Key> {
                &mut touched.$field
            }
            fn watchers(watchers: &WatchersByTable) -> &Arc<Watchers<Self::Key>> {
                &watchers.$field
            }
        })+

        impl Tables {
            /// Puts a row of the journal where it belongs.
            pub(crate) fn load(&mut self, stored: &StoredRow) -> Result<(), Unreadable> {
                match stored.table.as_str() {
                    $(<$row as Row>::TABLE => load_into::<$row>(self, stored),)+
                    _ => Err(Unreadable::UnknownTable),
                }
            }

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
    clusters: Cluster,
    task_definitions: TaskDefinition,
    /// The last revision of each family; outlives the revisions.
    families: TaskDefinitionFamily,
    services: Service,
    service_deployments: ServiceDeployment,
    service_revisions: ServiceRevision,
    tasks: Task,
    nodes: Node,
    /// The keys of nodes; outlives what the nodes say of themselves.
    node_identities: NodeIdentity,
    container_instances: ContainerInstance,
    vpcs: Vpc,
    subnets: Subnet,
    security_groups: SecurityGroup,
    network_interfaces: NetworkInterface,
    address_cursors: AddressCursor,
    account_settings: AccountSetting,
    idempotency_tokens: IdempotencyToken,
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
}

/// A row that has a table here.
pub trait InTables: Related {
    fn table(tables: &Tables) -> &Table<Self>;
    #[doc(hidden)]
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
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

fn load_into<R: InTables>(tables: &mut Tables, stored: &StoredRow) -> Result<(), Unreadable> {
    let row = Arc::new(read::<R>(stored)?);
    R::table_mut(tables).insert(Arc::clone(&row));
    // Nobody waits yet.
    R::relate(tables, None, Some(&row), &mut Touched::default());
    Ok(())
}

fn apply_to<R: InTables>(
    tables: &mut Tables,
    change: &StoredChange,
    named: &StoredRow,
    touched: &mut Touched,
) -> Result<(), Unreadable> {
    let key = read::<R>(named)?.key();
    let row = change.row.as_ref().map(read::<R>).transpose()?.map(Arc::new);
    let old = R::table(tables).get(&key).cloned();
    match &row {
        Some(row) => R::table_mut(tables).insert(Arc::clone(row)),
        None => {
            R::table_mut(tables).remove(&key);
        }
    }
    R::touched(touched).insert(key);
    R::relate(tables, old.as_deref(), row.as_deref(), touched);
    Ok(())
}
