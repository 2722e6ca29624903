//! What an agent asks of its machine.

use std::collections::{BTreeSet, HashSet};
use std::io;

use outport_model::{TaskId, TimestampMs};
use outport_node_agent::parts::{
    Adopted, ContainerExit, Loaded, NodeHost, PulledImage, StartError, TaskHost,
};
use outport_node_protocol::{ContainerAssignment, ContainerHealth, TaskAssignment};
use tokio::sync::watch;

use super::{
    ATTACH_FAILS, ATTACH_MS, CREATE_FAILS, CREATE_MS, Container, ContainerState,
    IGNORES_STOP_SIGNAL, KILLED, LATE_LOG_MS, LOG_IS_LATE, LOG_MS, LONG_PULL_MS, Machine, Name,
    PULL_FAILS, PULL_IS_LONG, PULL_MS, RELEASE_MS, REMOVAL_FAILS, START_FAILS, START_MS,
    TERMINATED, name, places, whole,
};

impl TaskHost for Machine {
    fn now_ms(&self) -> TimestampMs {
        self.state().now_ms
    }

    fn reserve_ids(&self, _: &TaskAssignment) -> Result<Option<u32>, StartError> {
        Ok(None)
    }

    async fn attach(&self, task: &TaskAssignment) -> Result<(), StartError> {
        let failed = |detail| Err(StartError::new("ResourceInitializationError", detail));
        {
            let state = &mut *self.state();
            state.begun.entry(task.task.clone()).or_insert(state.boot);
        }
        self.pass("attach", &whole(&task.task), ATTACH_MS).await;
        if self.fails("attach fails", &whole(&task.task), ATTACH_FAILS) {
            return failed("no network".to_owned());
        }
        let places = places(task);
        let mut state = self.state();
        if state.forgotten.contains(&task.task) {
            state.wrong("is begun after it was forgotten", &whole(&task.task));
        }
        let mut others = state.networks.iter().filter(|(other, _)| **other != task.task);
        if let Some((other, taken)) = others.find(|(_, taken)| !taken.is_disjoint(&places)) {
            let (other, clash) = (other.clone(), format!("{taken:?} are in use by task {other}"));
            state.clashes.push(other);
            return failed(clash);
        }
        state.networks.insert(task.task.clone(), places);
        Ok(())
    }

    async fn pull(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<PulledImage, StartError> {
        let name = name(task, container);
        let is_long = self.fails("pull is long", &name, PULL_IS_LONG);
        self.pass("pull", &name, if is_long { LONG_PULL_MS } else { PULL_MS }).await;
        if self.fails("pull fails", &name, PULL_FAILS) {
            return Err(StartError::new("CannotPullContainerError", "no such image"));
        }
        self.state().images.insert(name);
        Ok(PulledImage { digest: "sha256:0".into() })
    }

    async fn create(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<(), StartError> {
        let name = name(task, container);
        {
            let mut state = self.state();
            if !state.networks.contains_key(&name.0) || !state.images.contains(&name) {
                state.wrong("is made without its network or its image", &name);
            }
            let exit = watch::Sender::new(None);
            let made = Container { state: ContainerState::Making, ends: None, exit };
            if state.containers.insert(name.clone(), made).is_some() {
                state.wrong("is made a second time", &name);
            }
        }
        self.pass("create", &name, CREATE_MS).await;
        let fails = self.fails("create fails", &name, CREATE_FAILS);
        let mut state = self.state();
        match state.containers.get_mut(&name) {
            Some(container) if !fails => container.state = ContainerState::Created,
            _ => return Err(StartError::new("CannotCreateContainerError", "no disk")),
        }
        Ok(())
    }

    async fn start(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<String, StartError> {
        let name = name(task, container);
        let failed = || Err(StartError::new("CannotStartContainerError", "no such program"));
        if self.fails("start fails", &name, START_FAILS) {
            return failed();
        }
        {
            let mut state = self.state();
            if state.begun.get(&name.0) != Some(&state.boot) {
                state.wrong("is started in another boot than its task", &name);
            }
            if !state.started.insert(name.clone()) {
                state.wrong("is started a second time", &name);
            }
            match state.containers.get_mut(&name) {
                Some(container) if container.state == ContainerState::Created => {
                    container.state = ContainerState::Running;
                }
                _ => {
                    state.wrong("is started without being made", &name);
                    return failed();
                }
            }
        }
        // It runs already when the agent learns of it.
        self.pass("start", &name, START_MS).await;
        Ok(container.id.to_string())
    }

    async fn adopt(&self, task: &TaskAssignment, container: &ContainerAssignment) -> Adopted {
        let name = name(task, container);
        let state = self.state();
        let Some(found) = state.containers.get(&name) else { return Adopted::Absent };
        match found.state {
            ContainerState::Created => Adopted::Created,
            ContainerState::Running => Adopted::Running { runtime_id: container.id.to_string() },
            ContainerState::Ended => {
                Adopted::Exited(found.exit.borrow().clone().unwrap_or_default())
            }
            ContainerState::Making | ContainerState::Lost => Adopted::Lost,
        }
    }

    async fn discard(&self, task: &TaskId, container: &str) {
        let name = (task.clone(), container.to_owned());
        let mut state = self.state();
        let removed = state.containers.remove(&name);
        if removed.is_some_and(|removed| removed.state == ContainerState::Running) {
            state.wrong("is thrown away while it runs", &name);
        }
    }

    fn exit(
        &self,
        task: &TaskId,
        container: &str,
    ) -> impl Future<Output = ContainerExit> + Send + 'static {
        let name = (task.clone(), container.to_owned());
        let exit = self.state().containers.get(&name).map(|found| found.exit.subscribe());
        async move {
            let Some(mut exit) = exit else { return ContainerExit::default() };
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.clone().unwrap_or_default(),
                Err(_) => ContainerExit::default(),
            }
        }
    }

    /// No simulated container has health checks.
    fn health(&self, _: &TaskId, _: &str) -> Option<watch::Receiver<ContainerHealth>> {
        None
    }

    async fn terminate(&self, task: &TaskId, container: &str) {
        let name = (task.clone(), container.to_owned());
        if self.fails("ignores its stop signal", &name, IGNORES_STOP_SIGNAL) {
            return;
        }
        self.signal(&name, TERMINATED);
    }

    async fn kill(&self, task: &TaskId, container: &str) {
        self.signal(&(task.clone(), container.to_owned()), KILLED);
    }

    async fn logs_shipped(&self, task: &TaskId) {
        let is_late = self.fails("log is late", &whole(task), LOG_IS_LATE);
        self.pass("log", &whole(task), if is_late { LATE_LOG_MS } else { LOG_MS }).await;
    }

    async fn release(&self, task: &TaskAssignment) {
        self.pass("release", &whole(&task.task), RELEASE_MS).await;
        let mut state = self.state();
        let runs = |(name, container): (&Name, &Container)| {
            name.0 == task.task && container.state == ContainerState::Running
        };
        if state.containers.iter().any(runs) {
            state.wrong("runs while its task is let go", &whole(&task.task));
        }
        state.removes(&task.task);
    }

    async fn forget(&self, task: &TaskAssignment) -> bool {
        if self.fails("removal fails", &whole(&task.task), REMOVAL_FAILS) {
            return false;
        }
        let mut state = self.state();
        let is_held = state.networks.contains_key(&task.task)
            || state.containers.keys().any(|(of, _)| *of == task.task);
        if is_held {
            state.wrong("is here still when its task is forgotten", &whole(&task.task));
        }
        state.removes(&task.task);
        state.forgotten.insert(task.task.clone());
        true
    }
}

impl NodeHost for Machine {
    type Error = io::Error;

    async fn take_over(
        &self,
        found: &mut Loaded,
        mark: impl Fn(&TaskId) -> io::Result<()> + Send + 'static,
    ) -> io::Result<HashSet<TaskId>> {
        let of_records = found.records.iter().map(|record| &record.report.task);
        let known: BTreeSet<&TaskId> =
            of_records.chain(&found.kept).chain(&found.damaged).collect();
        let strangers: HashSet<TaskId> =
            self.tasks().into_iter().filter(|task| !known.contains(task)).collect();
        for task in &strangers {
            mark(task)?;
            self.state().removes(task);
        }
        Ok(strangers)
    }

    fn ids_of(&self, _: &TaskId) -> Option<u32> {
        None
    }

    async fn remove_unrecorded(&self, task: &TaskId) -> io::Result<()> {
        self.state().removes(task);
        Ok(())
    }
}
