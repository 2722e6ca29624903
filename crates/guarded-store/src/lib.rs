//! The one way from an operation to the store's rows: through the answers to its questions of permission.
//!
//! **Invariant:** no row is shown or changed before everything that is asked about it was answered with yes, and a
//! transaction uses what was authorized: it looks again, and goes on only if that asks nothing new. The answers are
//! got without the writer's lock, which a decision about many policies would hold too long.

use std::marker::PhantomData;

use outport_identity::{Call, Changed, Denied, Question, Subject};
use outport_store::{Fault, Snapshot, Store, Tables, Transaction, WriteError};

/// How often a request is authorized anew because what it is about has changed meanwhile.
const AUTHORIZATIONS_MAX: usize = 8;
const CHANGES_ALL_THE_TIME: &str =
    "What the request is about changed while it was being authorized. Try again.";
/// AWS has no bound of all things together, and so no text for it. In the order of what most often takes the room.
pub const STORE_IS_FULL: &str = "The maximum size of all that this Outport keeps in memory has been reached: revisions of task definitions, \
     secrets and parameters with their versions, users, roles and policies of IAM, services, tasks and clusters. \
     Delete what is not needed any more, such as revisions that nothing runs (deregister-task-definition, then \
     delete-task-definitions), or start outport with a larger --state-mib.";

/// The store, as the operations of a service see it that says no by `R`.
pub struct GuardedStore<R> {
    store: Store,
    refusal: PhantomData<fn() -> R>,
}

impl<R> Clone for GuardedStore<R> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), refusal: PhantomData }
    }
}

/// How a service says no.
pub trait Refusal: From<Denied> + From<Fault> {
    /// A store that is full takes nothing that grows: `text` says what to do. Not the caller's to try again by itself.
    fn store_is_full(text: &'static str) -> Self;
    /// What the request is about changed all the time: a fault of the server, which clients try again.
    fn changes_all_the_time(text: &'static str) -> Self;
}

/// What a store that is full still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// Nothing that adds bytes.
    None,
    /// Nothing that adds rows: for a change of what is there, which may be the way to less.
    InPlace,
    /// Everything: for what stops or removes something.
    Any,
}

/// Why a transaction left no trace.
enum Halt<R> {
    /// What is there is not what was authorized.
    Changed,
    Refused(R),
}

impl<R: Refusal> GuardedStore<R> {
    pub fn new(store: Store) -> Self {
        Self { store, refusal: PhantomData }
    }

    /// The rows, and what `look` found in them, for a caller who may see that.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn read<T>(
        &self,
        call: &Call,
        look: impl FnOnce(&Tables) -> Subject<T>,
    ) -> Result<(Snapshot, T), R> {
        let tables = self.store.snapshot();
        let found = call.open(look(&tables))?;
        Ok((tables, found))
    }

    /// One transaction, of a caller who may do what `look` asks; `change` gets what `look` found in it. A refusal leaves
    /// no trace. Nothing that grows is taken by a store that is full.
    ///
    /// `look` finds and asks, and refuses nothing: what is there is told to nobody who may not know it.
    ///
    /// # Errors
    /// What `change` refuses, [`Denied`], and the three of [`Refusal`].
    pub async fn write<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, R>,
    ) -> Result<T, R> {
        self.commit(Growth::None, call, look, change).await
    }

    /// The same for a change of what is there, which may be the way to less: only more rows are refused.
    ///
    /// # Errors
    /// As of [`GuardedStore::write`].
    pub async fn write_in_place<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, R>,
    ) -> Result<T, R> {
        self.commit(Growth::InPlace, call, look, change).await
    }

    /// The same for what stops or removes something: a store that is full takes it, too.
    ///
    /// # Errors
    /// As of [`GuardedStore::write`].
    pub async fn write_always<A, T>(
        &self,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, R>,
    ) -> Result<T, R> {
        self.commit(Growth::Any, call, look, change).await
    }

    /// Whether the account has no role of a service, such as `ecs.amazonaws.com`.
    pub fn lacks_service_linked_role(&self, call: &Call, service: &str) -> bool {
        self.store.snapshot().missing_service_linked_role(&call.account, service).is_some()
    }

    /// Makes the role of a service, such as `ecs.amazonaws.com`, if the account lacks it and the caller may: what services of AWS do
    /// at their first use. Whether the account has it then: a caller who may not is not refused for that alone.
    ///
    /// Source: ECS API reference, CreateCluster: without the permission "it isn't created".
    pub async fn ensure_service_linked_role(&self, call: &Call, service: &str) -> bool {
        let missing = self.store.snapshot().missing_service_linked_role(&call.account, service);
        let Some(arn) = missing else { return true };
        let question =
            Question::new("iam:CreateServiceLinkedRole", arn).with("iam:AWSServiceName", service);
        let made = self.write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                tx.ensure_role_of_service(&call.account, service);
                Ok(())
            },
        );
        made.await.is_ok()
    }

    async fn commit<A, T>(
        &self,
        growth: Growth,
        call: &Call,
        look: impl Fn(&Tables) -> Subject<A>,
        change: impl FnOnce(&mut Transaction<'_>, A) -> Result<T, R>,
    ) -> Result<T, R> {
        let mut change = Some(change);
        for _ in 0..AUTHORIZATIONS_MAX {
            let authorized = call.authorize(look(&self.store.snapshot()))?;
            let is_full = self.store.is_full();
            let attempt = |tx: &mut Transaction<'_>| {
                let found = authorized.open(look(tx)).map_err(|Changed| Halt::Changed)?;
                let change = change.take().ok_or(Halt::Changed)?;
                let answer = change(tx, found).map_err(Halt::Refused)?;
                if is_full && is_too_much(growth, tx) {
                    return Err(Halt::Refused(R::store_is_full(STORE_IS_FULL)));
                }
                Ok(answer)
            };
            match self.store.write(attempt).await {
                Ok(answer) => return Ok(answer),
                Err(WriteError::Rejected(Halt::Refused(refusal))) => return Err(refusal),
                Err(WriteError::Rejected(Halt::Changed)) => {}
                Err(WriteError::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(R::changes_all_the_time(CHANGES_ALL_THE_TIME))
    }
}

fn is_too_much(growth: Growth, tx: &Transaction<'_>) -> bool {
    match growth {
        Growth::None => tx.adds_bytes(),
        Growth::InPlace => tx.adds_rows(),
        Growth::Any => false,
    }
}
