//! The runner against a machine that does what the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outport_model::task::{ContainerStatus, HealthStatus, StopCode};
use outport_model::task_definition::{
    ContainerDefinition, ContainerDependency, DependencyCondition, LaunchType,
};
use outport_model::{
    AccountId, ClusterName, ContainerId, DesiredStatus, Family, Region, TaskId, TaskStatus,
};
use outport_node_protocol::{
    ContainerAssignment, ContainerHealth, TaskAssignment, TaskLimits, TaskNetwork, TaskReport,
};
use tokio::sync::{Notify, watch};

use super::host::{Adopted, ContainerExit, PulledImage, StartError, TaskHost};
use super::runner::{Order, Origin, StopReason, TaskRunner};
use crate::agent::orders::raise;
use crate::task_record::{TaskRecord, TaskRecords};
use crate::task_reports::TaskReports;

const PATIENCE: Duration = Duration::from_secs(60);

/// `name[>dependency:CONDITION][?]`; a question mark makes it not essential.
pub fn assignment(containers: &[&str]) -> TaskAssignment {
    TaskAssignment {
        task: TaskId::new("t1"),
        desired: DesiredStatus::Running,
        was_started: false,
        account: AccountId::new("000000000000"),
        region: Region::new("us-east-1"),
        cluster: ClusterName::new("default"),
        task_arn: "arn:aws:ecs:us-east-1:000000000000:task/default/t1".into(),
        family: Family::new("app"),
        revision: 1,
        launch_type: LaunchType::Fargate,
        availability_zone: None,
        service: None,
        task_role_arn: None,
        execution_role_arn: None,
        network: TaskNetwork::None,
        limits: TaskLimits::default(),
        containers: containers.iter().map(|text| container(text)).collect(),
    }
}

fn container(text: &str) -> ContainerAssignment {
    let (text, essential) = match text.strip_suffix('?') {
        Some(text) => (text, false),
        None => (text, true),
    };
    let mut parts = text.split('>');
    let name = parts.next().unwrap().to_owned();
    let depends_on = parts
        .map(|dependency| {
            let (container_name, condition) = dependency.split_once(':').unwrap();
            let condition = match condition {
                "START" => DependencyCondition::Start,
                "COMPLETE" => DependencyCondition::Complete,
                "HEALTHY" => DependencyCondition::Healthy,
                _ => DependencyCondition::Success,
            };
            ContainerDependency { container_name: container_name.to_owned(), condition }
        })
        .collect();
    let start_timeout_s = (name == "late").then_some(1);
    let stop_timeout_s = if name == "slow" { 120 } else { 1 };
    ContainerAssignment {
        id: ContainerId::new(&name),
        arn: name.clone(),
        image_digest: None,
        registry: None,
        ports: vec![],
        log: None,
        definition: ContainerDefinition {
            essential,
            depends_on,
            stop_timeout_s,
            start_timeout_s,
            ..ContainerDefinition::new(name, "app:1")
        },
    }
}

pub fn exited(code: i32) -> ContainerExit {
    ContainerExit { exit_code: Some(code), reason: None, finished_at_ms: 0 }
}

/// A machine whose containers end when told to, or when the test ends them.
#[derive(Default)]
struct FakeHost {
    log: Mutex<Vec<String>>,
    exits: Mutex<BTreeMap<String, ContainerExit>>,
    changed: Arc<Notify>,
    broken_image: bool,
    no_network: bool,
    /// A pull that never ends.
    slow_registry: bool,
    /// Making a container never ends.
    slow_create: bool,
    deaf: bool,
    /// What is killed does not end.
    stuck: bool,
    /// How often something stays that was to be removed.
    forget_failures: Mutex<u32>,
    /// Of every container that has one.
    healths: Mutex<BTreeMap<String, watch::Sender<ContainerHealth>>>,
    adopted: BTreeMap<String, Adopted>,
    looked_for: Mutex<Vec<String>>,
}

impl FakeHost {
    fn say(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }
    fn with_health_checks(self, containers: &[&str]) -> Self {
        let senders = containers.iter().map(|name| ((*name).to_owned(), watch::Sender::default()));
        Self { healths: Mutex::new(senders.collect()), ..self }
    }
    fn becomes(&self, container: &str, status: HealthStatus) {
        let health = ContainerHealth { status, since_ms: Some(2), ..ContainerHealth::default() };
        self.healths.lock().unwrap()[container].send_replace(health);
    }
    fn end(&self, container: &str, code: i32) {
        self.exits.lock().unwrap().insert(container.to_owned(), exited(code));
        self.changed.notify_waiters();
    }
}

struct Host(Arc<FakeHost>);

impl TaskHost for Host {
    fn now_ms(&self) -> i64 {
        1
    }
    fn reserve_ids(&self, _: &TaskAssignment) -> Result<Option<u32>, StartError> {
        Ok(Some(2_000_224_256))
    }
    async fn attach(&self, _: &TaskAssignment) -> Result<(), StartError> {
        self.0.say("attach".into());
        if self.0.no_network {
            return Err(StartError::new("ResourceInitializationError", "no address"));
        }
        Ok(())
    }
    async fn pull(
        &self,
        _: &TaskAssignment,
        _: &ContainerAssignment,
    ) -> Result<PulledImage, StartError> {
        if self.0.slow_registry {
            std::future::pending::<()>().await;
        }
        if self.0.broken_image {
            return Err(StartError::new("CannotPullContainerError", "not found"));
        }
        Ok(PulledImage { digest: "sha256:1".into() })
    }
    async fn create(
        &self,
        _: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<(), StartError> {
        self.0.say(format!("create {}", container.definition.name));
        if self.0.slow_create {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
    async fn start(
        &self,
        _: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<String, StartError> {
        self.0.say(format!("start {}", container.definition.name));
        Ok(format!("id-{}", container.definition.name))
    }
    async fn adopt(&self, _: &TaskAssignment, container: &ContainerAssignment) -> Adopted {
        self.0.looked_for.lock().unwrap().push(container.definition.name.clone());
        self.0.adopted.get(&container.definition.name).cloned().unwrap_or(Adopted::Absent)
    }
    async fn discard(&self, _: &TaskId, container: &str) {
        self.0.say(format!("discard {container}"));
    }
    fn exit(
        &self,
        _: &TaskId,
        container: &str,
    ) -> impl Future<Output = ContainerExit> + Send + 'static {
        let (host, container) = (self.0.clone(), container.to_owned());
        async move {
            loop {
                let changed = host.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(exit) = host.exits.lock().unwrap().get(&container) {
                    return exit.clone();
                }
                changed.await;
            }
        }
    }
    fn health(&self, _: &TaskId, container: &str) -> Option<watch::Receiver<ContainerHealth>> {
        let mut health = self.0.healths.lock().unwrap().get(container)?.subscribe();
        health.mark_changed();
        Some(health)
    }
    async fn terminate(&self, _: &TaskId, container: &str) {
        self.0.say(format!("terminate {container}"));
        if !self.0.deaf {
            self.0.end(container, 143);
        }
    }
    async fn kill(&self, _: &TaskId, container: &str) {
        self.0.say(format!("kill {container}"));
        if !self.0.stuck {
            self.0.end(container, 137);
        }
    }
    async fn logs_shipped(&self, _: &TaskId) {}
    async fn release(&self, _: &TaskAssignment) {
        self.0.say("release".into());
    }
    async fn forget(&self, _: &TaskAssignment) -> bool {
        self.0.say("forget".into());
        let mut left = self.0.forget_failures.lock().unwrap();
        let is_done = *left == 0;
        *left = left.saturating_sub(1);
        is_done
    }
}

struct Bench {
    host: Arc<FakeHost>,
    task_reports: Arc<TaskReports>,
    orders: watch::Sender<Order>,
    runner: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn start(host: FakeHost, containers: &[&str], taken_over: Option<TaskStatus>) -> Self {
        Self::start_with(host, containers, taken_over, Order::Run)
    }

    fn start_with(
        host: FakeHost,
        containers: &[&str],
        taken_over: Option<TaskStatus>,
        order: Order,
    ) -> Self {
        let (host, task_reports) = (Arc::new(host), Arc::new(TaskReports::default()));
        let directory = tempfile::tempdir().unwrap();
        let records =
            TaskRecords::open(directory.path().join("tasks"), directory.path().join("memory"))
                .unwrap();
        let mut record = TaskRecord::new(assignment(containers), "boot");
        if let Some(status) = taken_over {
            record.report.status = status;
            if status == TaskStatus::Running {
                record.report.containers.iter_mut().for_each(|one| {
                    one.status = ContainerStatus::Running;
                });
            }
            records.write(&record).unwrap();
        }
        let origin = if taken_over.is_some() { Origin::Recorded } else { Origin::New };
        Self::run(host, directory, records, task_reports, record, order, origin)
    }

    /// A task that was here, and whose record is damaged.
    fn start_unrecorded(host: FakeHost, containers: &[&str]) -> Self {
        let (host, task_reports) = (Arc::new(host), Arc::new(TaskReports::default()));
        let directory = tempfile::tempdir().unwrap();
        let (disk, memory) = (directory.path().join("tasks"), directory.path().join("memory"));
        let records = TaskRecords::open(disk, memory).unwrap();
        let record = TaskRecord::new(assignment(containers), "boot");
        Self::run(host, directory, records, task_reports, record, Order::Run, Origin::Unrecorded)
    }

    fn run(
        host: Arc<FakeHost>,
        directory: tempfile::TempDir,
        records: TaskRecords,
        task_reports: Arc<TaskReports>,
        record: TaskRecord,
        order: Order,
        origin: Origin,
    ) -> Self {
        task_reports.put(record.report.clone());
        let (orders, receiver) = watch::channel(order);
        let machine = Arc::new(Host(host.clone()));
        let runner =
            TaskRunner::new(machine, records, task_reports.clone(), record, receiver, origin);
        let runner = tokio::spawn(runner.run());
        Self { host, task_reports, orders, runner, _directory: directory }
    }

    async fn reaches(&self, status: TaskStatus) -> TaskReport {
        let reached = async {
            loop {
                if let Some(report) =
                    self.task_reports.reports().into_iter().find(|report| report.status >= status)
                {
                    return report;
                }
                self.task_reports.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the status is reached in time")
    }

    async fn log(self) -> String {
        self.orders.send_replace(Order::Forget);
        tokio::time::timeout(PATIENCE, self.runner).await.expect("it ends").unwrap();
        assert!(self.task_reports.reports().is_empty());
        self.host.log.lock().unwrap().join(", ")
    }
}

#[tokio::test]
async fn a_task_runs_until_it_is_stopped() {
    let bench = Bench::start(FakeHost::default(), &["a", "b>a:START"], None);
    let running = bench.reaches(TaskStatus::Running).await;
    assert_eq!(running.containers[1].runtime_id.as_deref(), Some("id-b"));
    bench.orders.send_replace(Order::Stop(None));
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    assert_eq!(stopped.stop, None, "who ordered it knows why");
    assert_eq!(stopped.containers[0].exit_code, Some(143));
    assert_eq!(
        bench.log().await,
        "attach, create a, create b, start a, start b, terminate b, terminate a, release, forget"
    );
}

#[tokio::test]
async fn a_container_waits_until_another_is_healthy_and_the_task_for_nothing_more() {
    let host = FakeHost::default().with_health_checks(&["a"]);
    let bench = Bench::start(host, &["a", "b>a:HEALTHY"], None);
    let seen = async |status: HealthStatus| {
        loop {
            let reports = bench.task_reports.reports();
            let health = reports[0].containers[0].health.as_ref();
            if health.is_some_and(|health| health.status == status) {
                return reports[0].clone();
            }
            bench.task_reports.changed().await;
        }
    };
    bench.reaches(TaskStatus::Activating).await;
    bench.host.becomes("a", HealthStatus::Unhealthy);
    let waiting = tokio::time::timeout(PATIENCE, seen(HealthStatus::Unhealthy)).await.unwrap();
    assert_eq!(waiting.status, TaskStatus::Activating);
    bench.host.becomes("a", HealthStatus::Healthy);
    let running = bench.reaches(TaskStatus::Running).await;
    assert_eq!(running.containers[0].health.as_ref().unwrap().since_ms, Some(2));
    bench.host.becomes("a", HealthStatus::Unhealthy);
    let ill = tokio::time::timeout(PATIENCE, seen(HealthStatus::Unhealthy)).await.unwrap();
    assert_eq!((ill.status, ill.stop), (TaskStatus::Running, None));
    bench.orders.send_replace(Order::Stop(None));
    bench.reaches(TaskStatus::Stopped).await;
    assert_eq!(
        bench.log().await,
        "attach, create a, create b, start a, start b, terminate b, terminate a, release, forget"
    );
}

#[tokio::test]
async fn a_task_stops_when_a_dependency_is_not_healthy_in_time() {
    let host = FakeHost::default().with_health_checks(&["late"]);
    let bench = Bench::start(host, &["late", "b>late:HEALTHY"], None);
    let cause = bench.reaches(TaskStatus::Stopped).await.stop.unwrap();
    assert_eq!(cause.code, StopCode::TaskFailedToStart);
    assert_eq!(
        cause.reason,
        "dependency graph: container ordering dependency [late] for target [b] has timed out."
    );
    assert_eq!(
        bench.log().await,
        "attach, create late, create b, start late, terminate late, kill b, release, forget"
    );
}

#[tokio::test]
async fn the_exit_of_an_essential_container_ends_the_task() {
    let bench = Bench::start(FakeHost::default(), &["a", "b?"], None);
    bench.reaches(TaskStatus::Running).await;
    bench.host.end("b", 1);
    bench.host.end("a", 3);
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    let cause = stopped.stop.unwrap();
    assert_eq!(cause.code, StopCode::EssentialContainerExited);
    assert_eq!(cause.reason, "Essential container in task exited");
    assert_eq!(stopped.containers[0].exit_code, Some(3));
    assert_eq!(stopped.containers[1].exit_code, Some(1));
}

#[tokio::test]
async fn a_task_waits_for_its_init_container() {
    let bench = Bench::start(FakeHost::default(), &["init?", "a>init:SUCCESS"], None);
    bench.reaches(TaskStatus::Activating).await;
    bench.host.end("init", 0);
    bench.reaches(TaskStatus::Running).await;
    assert!(bench.log().await.contains("start init, start a"));
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_stops_the_task() {
    let host = FakeHost { broken_image: true, ..FakeHost::default() };
    let bench = Bench::start(host, &["a"], None);
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    let cause = stopped.stop.unwrap();
    assert_eq!(cause.code, StopCode::TaskFailedToStart);
    assert_eq!(cause.reason, "CannotPullContainerError: not found");
    assert_eq!(stopped.containers[0].exit_code, None);
    assert_eq!(bench.log().await, "attach, release, forget");
}

#[tokio::test]
async fn what_has_no_network_says_so_where_either_launch_type_looks() {
    let host = FakeHost { no_network: true, ..FakeHost::default() };
    let stopped = Bench::start(host, &["a"], None).reaches(TaskStatus::Stopped).await;
    let reason = "ResourceInitializationError: no address";
    assert_eq!(stopped.stop.unwrap().reason, reason, "of a task on Fargate");
    assert_eq!(stopped.containers[0].reason.as_deref(), Some(reason), "on a container instance");
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_network_waits_for_no_image() {
    let host = FakeHost { no_network: true, slow_registry: true, ..FakeHost::default() };
    let stopped = Bench::start(host, &["a"], None).reaches(TaskStatus::Stopped).await;
    assert_eq!(stopped.stop.unwrap().reason, "ResourceInitializationError: no address");
}

/// An agent that dies while it makes containers leaves what its successor needs to hold their images.
#[tokio::test]
async fn what_was_pulled_is_on_disk_before_a_container_is_made_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let (disk, memory) = (directory.path().join("tasks"), directory.path().join("memory"));
        TaskRecords::open(disk, memory).unwrap()
    };
    let host = Arc::new(FakeHost { slow_create: true, ..FakeHost::default() });
    let record = TaskRecord::new(assignment(&["a", "b"]), "boot");
    let (_orders, receiver) = watch::channel(Order::Run);
    let task_reports = Arc::new(TaskReports::default());
    let machine = Arc::new(Host(host.clone()));
    let origin = Origin::New;
    let runner = TaskRunner::new(machine, open(), task_reports.clone(), record, receiver, origin);
    let running = tokio::spawn(runner.run());
    let made = async {
        while !host.log.lock().unwrap().iter().any(|line| line == "create a") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, made).await.expect("it comes to making them");
    running.abort();
    let found = open().load().unwrap().records.pop().unwrap();
    for container in found.report.containers {
        assert_eq!(container.image_digest.as_deref(), Some("sha256:1"), "{}", container.name);
    }
}

#[tokio::test(start_paused = true)]
async fn what_ignores_the_stop_signal_is_killed_after_its_timeout() {
    let host = FakeHost { deaf: true, ..FakeHost::default() };
    let bench = Bench::start(host, &["a"], None);
    bench.reaches(TaskStatus::Running).await;
    bench.orders.send_replace(Order::Stop(None));
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    assert_eq!(stopped.containers[0].exit_code, Some(137));
    assert!(bench.log().await.contains("terminate a, kill a"));
}

#[tokio::test]
async fn a_running_task_is_taken_over_and_not_started_again() {
    let adopted = [("a".to_owned(), Adopted::Running { runtime_id: "id-a".into() })].into();
    let host = FakeHost { adopted, ..FakeHost::default() };
    let bench = Bench::start(host, &["a"], Some(TaskStatus::Running));
    bench.reaches(TaskStatus::Running).await;
    bench.host.end("a", 7);
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    assert_eq!(stopped.containers[0].exit_code, Some(7));
    assert_eq!(bench.log().await, "release, forget");
}

#[tokio::test]
async fn a_running_task_without_a_record_is_taken_over_by_its_assignment() {
    let adopted = [
        ("a".to_owned(), Adopted::Running { runtime_id: "id-a".into() }),
        ("b".to_owned(), Adopted::Running { runtime_id: "id-b".into() }),
    ]
    .into();
    let host = FakeHost { adopted, ..FakeHost::default() };
    let bench = Bench::start_unrecorded(host, &["a", "b"]);
    bench.reaches(TaskStatus::Running).await;
    assert_eq!(bench.host.log.lock().unwrap().join(", "), "attach", "nothing is made or started");
    bench.host.end("a", 7);
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    assert_eq!(stopped.stop.unwrap().code, StopCode::EssentialContainerExited);
}

/// Whatever is left of them: they may have run, and are not started a second time.
#[tokio::test]
async fn a_task_without_a_record_of_which_nothing_runs_has_ended() {
    for left in [Adopted::Absent, Adopted::Lost, Adopted::Created, Adopted::Exited(exited(3))] {
        let adopted = [("a".to_owned(), left.clone())].into();
        let bench = Bench::start_unrecorded(FakeHost { adopted, ..FakeHost::default() }, &["a"]);
        let stopped = bench.reaches(TaskStatus::Stopped).await;
        let reason = stopped.stop.unwrap().reason;
        assert_eq!(reason, "The host lost its record of the task.", "{left:?}");
        let log = bench.log().await;
        assert!(!log.contains("create") && !log.contains("start"), "{left:?} {log}");
    }
}

#[tokio::test]
async fn an_exit_that_nobody_saw_is_found_at_take_over() {
    let adopted = [("a".to_owned(), Adopted::Exited(exited(5)))].into();
    let host = FakeHost { adopted, ..FakeHost::default() };
    let bench = Bench::start(host, &["a"], Some(TaskStatus::Running));
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    assert_eq!(stopped.containers[0].exit_code, Some(5));
    assert_eq!(stopped.stop.unwrap().code, StopCode::EssentialContainerExited);
}

#[tokio::test]
async fn a_running_container_of_which_nothing_is_left_has_ended() {
    let bench = Bench::start(FakeHost::default(), &["a"], Some(TaskStatus::Running));
    let stopped = bench.reaches(TaskStatus::Stopped).await;
    let reason = "The container ended while nobody watched it";
    assert_eq!(stopped.containers[0].reason.as_deref(), Some(reason));
    assert_eq!(stopped.containers[0].exit_code, None);
}

#[tokio::test]
async fn a_launch_that_was_cut_short_goes_on_where_it_was() {
    let adopted = [
        ("a".to_owned(), Adopted::Running { runtime_id: "id-a".into() }),
        ("b".to_owned(), Adopted::Created),
    ]
    .into();
    let host = FakeHost { adopted, ..FakeHost::default() };
    let bench = Bench::start(host, &["a", "b", "c"], Some(TaskStatus::Activating));
    bench.reaches(TaskStatus::Running).await;
    let log = bench.log().await;
    assert!(log.starts_with("attach, create c, start b, start c"), "{log}");
}

#[tokio::test]
async fn a_container_that_was_half_made_is_made_again() {
    let adopted = [("a".to_owned(), Adopted::Lost)].into();
    let host = FakeHost { adopted, ..FakeHost::default() };
    let bench = Bench::start(host, &["a"], Some(TaskStatus::Pending));
    bench.reaches(TaskStatus::Running).await;
    let log = bench.log().await;
    assert!(log.starts_with("discard a, attach, create a, start a"), "{log}");
}

#[tokio::test]
async fn a_made_container_that_is_never_started_is_killed_before_the_task_ends() {
    let adopted = [("a".to_owned(), Adopted::Created)].into();
    let host = FakeHost { adopted, ..FakeHost::default() };
    let bench = Bench::start_with(host, &["a"], Some(TaskStatus::Pending), Order::Stop(None));
    bench.reaches(TaskStatus::Stopped).await;
    assert_eq!(bench.log().await, "kill a, release, forget");
}

#[tokio::test]
async fn the_log_of_a_task_that_stopped_before_it_was_delivered_is_found() {
    let bench = Bench::start(FakeHost::default(), &["a", "b"], Some(TaskStatus::Stopped));
    bench.reaches(TaskStatus::Stopped).await;
    let host = bench.host.clone();
    assert_eq!(bench.log().await, "forget");
    assert_eq!(*host.looked_for.lock().unwrap(), ["a", "b"]);
}

/// Whether a deaf task that has 120 seconds, and is being stopped by the control plane, has stopped some seconds after
/// another order.
async fn has_stopped_after(seconds: u64, order: Order) -> bool {
    let host = FakeHost { deaf: true, ..FakeHost::default() };
    let bench = Bench::start(host, &["slow"], None);
    bench.reaches(TaskStatus::Running).await;
    bench.orders.send_replace(Order::Stop(None));
    bench.reaches(TaskStatus::Stopping).await;
    raise(&bench.orders, order);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    bench.task_reports.reports()[0].status == TaskStatus::Stopped
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_waited_for_has_no_long_time_for_it() {
    let reason = || StopReason("the disk".to_owned());
    let two = Duration::from_secs(2);
    assert!(!has_stopped_after(1, Order::Hurry(reason(), two)).await);
    assert!(has_stopped_after(4, Order::Hurry(reason(), two)).await);
    assert!(has_stopped_after(1, Order::Hurry(reason(), Duration::ZERO)).await);
    // A node that ends leaves each the time that its definition gives it.
    assert!(!has_stopped_after(119, Order::Stop(Some(reason()))).await);
    assert!(has_stopped_after(124, Order::Stop(Some(reason()))).await);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_killed_is_reported_after_a_bound() {
    let host = FakeHost { deaf: true, stuck: true, ..FakeHost::default() };
    let bench = Bench::start(host, &["a"], None);
    bench.reaches(TaskStatus::Running).await;
    let begun = tokio::time::Instant::now();
    bench.orders.send_replace(Order::Stop(None));
    let stopped = async {
        while bench.task_reports.reports()[0].status < TaskStatus::Stopped {
            bench.task_reports.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), stopped).await.expect("it has an end");
    assert!(begun.elapsed() > Duration::from_secs(60), "not before it was killed in earnest");
    let report = &bench.task_reports.reports()[0].containers[0];
    assert_eq!(report.exit_code, None);
    let reason = "The container's processes were killed and did not end";
    assert_eq!(report.reason.as_deref(), Some(reason));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_removed_is_removed_later() {
    let host = FakeHost { forget_failures: Mutex::new(3), ..FakeHost::default() };
    let bench = Bench::start(host, &["a"], None);
    bench.reaches(TaskStatus::Running).await;
    let (directory, log) = (bench._directory.path().join("tasks/t1"), {
        bench.orders.send_replace(Order::Forget);
        bench.host.clone()
    });
    tokio::time::timeout(Duration::from_secs(60), bench.runner).await.expect("it ends").unwrap();
    assert!(log.log.lock().unwrap().join(", ").ends_with("forget, forget, forget, forget"));
    assert!(!directory.exists(), "the record goes last");
}

/// The record's own disk may be the one without room.
#[tokio::test]
async fn a_task_that_cannot_be_recorded_says_why_in_both_places() {
    let directory = tempfile::tempdir().unwrap();
    let records =
        TaskRecords::open(directory.path().join("tasks"), directory.path().join("memory")).unwrap();
    // A file where the task's directory would be.
    std::fs::write(directory.path().join("tasks/t1"), "").unwrap();
    let task_reports = Arc::new(TaskReports::default());
    for launch_type in [LaunchType::Ec2, LaunchType::Fargate] {
        let mut assignment = assignment(&["a", "b"]);
        assignment.launch_type = launch_type;
        let record = TaskRecord::new(assignment, "boot");
        let (_orders, receiver) = watch::channel(Order::Run);
        let host = Arc::new(Host(Arc::new(FakeHost::default())));
        let (records, told) = (records.clone(), task_reports.clone());
        let runner = TaskRunner::new(host, records, told, record, receiver, Origin::New);
        let running = tokio::spawn(runner.run());
        let stopped = async {
            loop {
                if let Some(report) = task_reports.reports().pop()
                    && report.status == TaskStatus::Stopped
                {
                    return report;
                }
                task_reports.changed().await;
            }
        };
        let report = tokio::time::timeout(PATIENCE, stopped).await.expect("it stops");
        let reason = report.containers[0].reason.clone().unwrap();
        assert!(reason.starts_with("ResourceInitializationError: "), "{reason}");
        let expected =
            if launch_type == LaunchType::Ec2 { "Task failed to start" } else { &reason };
        assert_eq!(report.stop.unwrap().reason, expected);
        running.abort();
        task_reports.forget(&report.task);
    }
}
