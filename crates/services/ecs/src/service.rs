//! The one way from an operation to the store: through the answer to its questions of permission.
//!
//! **Invariant:** no row is shown or changed before everything that is asked about it was answered with yes, and a
//! transaction uses what was authorized: it looks again, and goes on only if that asks nothing new. The answers are
//! got without the writer's lock, which a decision about many policies would hold too long.

use outport_identity::{Call, Changed, Subject};
use outport_planner::Settings;
use outport_store::{Snapshot, Store, Tables, Transaction};

use crate::rejection::Rejection;
use crate::task_definition::Workloads;

/// How often a request is authorized anew because what it is about has changed meanwhile.
const AUTHORIZATIONS_MAX: usize = 8;
const CHANGES_ALL_THE_TIME: &str =
    "What the request is about changed while it was being authorized. Try again.";
/// AWS has no bound of all things together, and so no text for it. Its ECS says that a quota is reached with a
/// `ClientException`, which clients do not try again by themselves.
pub(crate) const STORE_IS_FULL: &str = "The maximum size of all clusters, services, tasks and task definitions together has been reached. \
     Delete what is not needed any more, or start outport with a larger --state-mib.";

/// The service: its store, and the numbers that placement depends on.
#[derive(Clone)]
pub struct EcsService {
    store: Store,
    pub(crate) settings: Settings,
    pub(crate) workloads: Workloads,
}

/// What a store that is full still takes.
#[derive(Clone, Copy)]
enum Growth {
    /// Nothing that adds bytes.
    None,
    /// Nothing that adds rows.
    InPlace,
    Any,
}

/// Why a transaction left no trace.
enum Halt {
    /// What is there is not what was authorized.
    Changed,
    Rejected(Rejection),
}

impl EcsService {
    /// `settings` and `workloads` are the ones that the controllers have too.
    pub fn new(store: Store, settings: Settings, workloads: Workloads) -> Self {
        Self { store, settings, workloads }
    }

    /// The rows, and what `look` found in them, for a caller who may see that.
    ///
    /// # Errors
    /// `AccessDeniedException`.
    pub(crate) fn read<T>(
        &self,
        call: &Call,
        look: impl FnOnce(&Tables) -> Subject<T>,
    ) -> Result<(Snapshot, T), Rejection> {
        let tables = self.store.snapshot();
        let found = call.open(look(&tables))?;
        Ok((tables, found))
    }

    /// One transaction, of a caller who may do what `look` asks; `change` gets what `look` found in it. A rejection leaves
    /// no trace. Nothing that grows is taken by a store that is full.
    ///
    /// `look` finds and asks, and refuses nothing: what is there is told to nobody who may not know it.
    pub(crate) async fn write<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.write_within(Growth::None, call, look, change).await
    }

    /// The same for a change of what is there, which may be the way to less: only more rows are refused.
    pub(crate) async fn write_in_place<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.write_within(Growth::InPlace, call, look, change).await
    }

    /// The same for what stops or removes something: a store that is full takes it, too.
    pub(crate) async fn write_always<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.write_within(Growth::Any, call, look, change).await
    }

    async fn write_within<A, T>(
        &self,
        growth: Growth,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let mut change = Some(change);
        for _ in 0..AUTHORIZATIONS_MAX {
            let authorized = call.authorize(look(&self.store.snapshot()))?;
            let is_full = self.store.is_full();
            let attempt = |tx: &mut Transaction<'_>| {
                let found = authorized.open(look(tx)).map_err(|Changed| Halt::Changed)?;
                let change = change.take().ok_or(Halt::Changed)?;
                let answer = change(tx, found).map_err(Halt::Rejected)?;
                let is_too_much = match growth {
                    Growth::None => tx.adds_bytes(),
                    Growth::InPlace => tx.adds_rows(),
                    Growth::Any => false,
                };
                if is_full && is_too_much {
                    return Err(Halt::Rejected(Rejection::client(STORE_IS_FULL)));
                }
                Ok(answer)
            };
            let written = self.store.write(attempt).await;
            match written.map_err(|error| error.flatten(|fault| Halt::Rejected(fault.into()))) {
                Ok(answer) => return Ok(answer),
                Err(Halt::Rejected(rejection)) => return Err(rejection),
                Err(Halt::Changed) => {}
            }
        }
        let message = CHANGES_ALL_THE_TIME.to_owned();
        Err(Rejection::Server { detail: message.clone(), message })
    }
}
