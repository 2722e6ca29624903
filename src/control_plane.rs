//! The control plane: store, services, controllers and the front door, wired together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use axum::Router;
use outport_certificates::JoinToken;
use outport_controllers::node_link::{self, LinkConfig, NODES_MAX_DEFAULT, NodeLink};
use outport_controllers::{
    Driver, EventController, Heartbeats, NodeHealthController, RetentionController,
    ServiceController,
};
use outport_front_door::{FrontDoor, Limits};
use outport_identity::{
    AccessKeyId, Credential, PermissionSource, Principal, Sealer, SecretAccessKey,
};
use outport_image_registry::HostIntegration;
use outport_model::network::Ipv4Cidr;
use outport_model::{Regions, Scope};
use outport_node_agent::PublishScope;
use outport_node_protocol::{DOOR_VERSION, Registered};
use outport_permissions::{Permissive, StoredCredentials, StoredPermissions};
use outport_planner::Settings;
use outport_service_cloudtrail::CloudTrailService;
use outport_service_ec2::Ec2Service;
use outport_service_ecr::{EcrAuthorizer, EcrService, PullThroughCache, RegistryAddress};
use outport_service_ecs::EcsService;
use outport_service_ecs::task_definition::Workloads;
use outport_service_events::EventsService;
use outport_service_iam::IamService;
use outport_service_kms::KmsService;
use outport_service_logs::LogsService;
use outport_service_secretsmanager::SecretsManagerService;
use outport_service_ssm::SsmService;
use outport_service_sts::StsService;
use outport_store::Store;
use outport_web_identity::{HttpFetch, Issuers};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::accounts::Accounts;
use crate::admin_door::{self, Asked};
use crate::audit::{self, Trail};
use crate::command_line::{ControlPlaneOptions, Server};
use crate::data_dir::{DataDir, Endpoint, KeyPair};
use crate::disk_watch::DiskWatch;
use crate::events::EventTargets;
use crate::execution_roles::{ExecutionRoles, TaskSecretReader};
use crate::health::{self, Readiness, Stage};
use crate::installation::{self, Settled, Wanted};
use crate::instances;
use crate::listen_address;
use crate::master_key;
use crate::metrics_page;
use crate::named_principals::StoredPrincipals;
use crate::node_link::{LogDelivery, RegistryPasswords, identified};
use crate::output;
use crate::parts::Parts;
use crate::published_ports;
use crate::pull_through::OtherRegistries;
use crate::registry_door::at_the_door;
use crate::scopes::{Regional, Scopes};
use crate::service_manager;
use crate::services::Served;
use crate::settings::Settings as Remembered;
use crate::stop_signal::StopSignal;
use crate::summary::{self, Offered};
use crate::task_roles::TaskRoles;
use crate::tls::{self, ListenerTls, NodeSigner, NodesAtTheDoor};
use crate::upkeep;
use crate::vpc_range;

/// What a start has made in the data directory once it got as far as this, and the next does not make anew.
const MADE: [&str; 8] =
    ["control", "logs", "registry", "tls", "join-token", "root-key", "sealing-key", "master-key"];

/// The node in the same process.
pub struct OwnNode {
    /// What it will join.
    pub cluster: String,
    pub instance: String,
    /// Where it publishes the ports of tasks with addresses of their own.
    pub publish: Option<PublishScope>,
}

/// A running control plane.
pub struct ControlPlane {
    /// Where it is reached on this host.
    pub url: String,
    /// The same for a node in this process, and what it joins with.
    pub node_url: String,
    pub join_token: JoinToken,
    pub readiness: Readiness,
    scope: Scope,
    regions: Regions,
    vpc_cidr: Ipv4Cidr,
    /// `None` once they were stopped.
    controllers: Option<Driver>,
    door: JoinHandle<()>,
    stop: watch::Sender<bool>,
    upkeep: Vec<JoinHandle<()>>,
    trail: Trail,
    host_integration: Option<HostIntegration>,
}

/// What a start refuses of its options whatever the host is like, before anything is made.
///
/// # Errors
/// Says which option it is, and what it takes.
pub fn check_options(options: &ControlPlaneOptions) -> Result<()> {
    Wanted::read(options)?;
    tls::own_certificate(options)?;
    master_key::check_options(&options.master_key)?;
    given_root_key(options).map(drop)
}

/// `outport server`.
pub async fn run(options: Server) -> Result<()> {
    let mut stop = StopSignal::listen()?;
    let options = options.control_plane;
    check_options(&options)?;
    let data_dir = DataDir::own(&options.data_dir.data_dir)?;
    let control_plane = match ControlPlane::start(&data_dir, &options, None).await {
        Ok(control_plane) => control_plane,
        Err(error) => {
            data_dir.undo_first_start();
            return Err(error);
        }
    };
    control_plane.readiness.set(Stage::Ready);
    control_plane.say_ready(&data_dir, None);
    stop.received().await;
    control_plane.stop().await;
    Ok(())
}

impl ControlPlane {
    /// Answers requests when it returns. What is wrong with the options or the host is said before
    /// anything is started. `own_node`: the node in the same process, if there will be one.
    pub async fn start(
        data_dir: &DataDir,
        options: &ControlPlaneOptions,
        own_node: Option<&OwnNode>,
    ) -> Result<Self> {
        let wanted = Wanted::read(options)?;
        let key = root_key(data_dir, options)?;
        let listener = listen(options.listen)?;
        let recorded = metrics_page::install()?;
        let address = reachable(listener.local_addr()?);
        let https_url = format!("https://{address}");
        let url = tls::plain_url(options, address).unwrap_or_else(|| https_url.clone());

        let parts = Parts::open(data_dir, options).await?;
        let Parts { store, logs, registry } = parts.clone();
        store.limit_bytes(u64::from(options.state_mib) << 20);
        let known = installation::known(&store.snapshot());
        let home = installation::home(&Remembered::read(data_dir.path())?);
        let Settled { scope, vpc_cidr } = wanted.settle(&known, home.as_ref())?;
        let regions = wanted.regions(&scope.region, own_node.is_some());
        let cidr = vpc_range::range_for(vpc_cidr, known.contains_key(&scope), own_node)?;
        // Before anything is made or renewed: a start without the key changes nothing.
        let keyring =
            Arc::new(master_key::at_start(data_dir, &options.master_key, &store.snapshot())?);
        let tls = Arc::new(ListenerTls::open(data_dir, options, &scope)?);
        let join_token = data_dir.join_token(tls.server().authority().pin())?;
        let authority = tls.authority_for_clients(options);
        tls::warn_of_plain_http(options);
        let scopes = Scopes::new(store.clone(), cidr);
        scopes.make_home(&scope, own_node.map(|node| node.cluster.as_str())).await?;
        data_dir.settle(|settings| {
            settings.account_id = Some(scope.account.to_string());
            settings.region = Some(scope.region.to_string());
            settings.default_vpc_cidr = Some(cidr.to_string());
        });
        let sealer = Arc::new(Sealer::new(&data_dir.sealing_key()?));
        data_dir.remember(&MADE);
        let own_registry = tls.own_registry(options, address);

        let body_memory = Arc::new(Semaphore::new(Limits::default().buffered_bytes_max));
        let readiness = Readiness::default();
        let disk = DiskWatch::new(data_dir.path());
        let metrics = metrics_page::of_parts(recorded, &store, &logs, &registry, &disk);
        let (stop, mut stopped) = watch::channel(false);
        let heartbeats = Arc::new(Heartbeats::new(store.now().steady_ms));
        let workloads = Workloads::default();
        let issuers = Issuers::new(options.oidc_jwks.clone(), Arc::new(HttpFetch::default()));
        let sts = StsService::new(store.clone(), sealer.clone()).with_issuers(issuers);
        // One for all doors, so that all answer alike.
        let permissions = permissions(options, &store);
        let trail = audit::open(data_dir, options, &scope)?;
        let task_roles = Arc::new(TaskRoles::new(sts.clone(), options.permissive));
        let settings = Settings {
            healthy_after_ms: i64::from(options.task_healthy_after) * 1_000,
            ..Settings::default()
        };
        let services = ServiceController::new(&store, settings, Arc::new(workloads.clone()));
        let services = services.with_task_roles(task_roles.clone());
        let ecs = EcsService::new(store.clone(), Settings::default(), workloads.clone())
            .with_task_roles(task_roles.clone());
        let events = EventController::new(
            &store,
            Arc::new(EventTargets {
                logs: logs.clone(),
                ecs: ecs.clone(),
                workloads: workloads.clone(),
                sts: sts.clone(),
                permissions: permissions.clone(),
                is_permissive: options.permissive,
                trail: trail.clone(),
            }),
        );
        let controllers = controllers(&store, heartbeats.clone(), services, events);
        let roles = ExecutionRoles::new(sts.clone(), permissions.clone(), options.permissive)
            .with_trail(trail.clone());
        let passwords = Arc::new(RegistryPasswords::new(
            sealer.clone(),
            own_registry.clone(),
            store.clone(),
            roles.clone(),
        ));
        let accounts = Accounts {
            store: store.clone(),
            keyring: keyring.clone(),
            home: scope.account.clone(),
        };
        let secrets = SecretsManagerService::new(store.clone(), keyring.clone());
        let parameters = SsmService::new(store.clone(), keyring.clone());
        let kms = KmsService::new(store.clone(), keyring.clone());
        let link = NodeLink::new(
            store.clone(),
            LinkConfig {
                scope: scope.clone(),
                registered: Registered {
                    registry_host: own_registry.host.clone(),
                    registry_names: own_registry.names.clone(),
                    vpc_cidr: cidr.to_string(),
                    protocol_version: DOOR_VERSION,
                    takes_report_changes: true,
                },
                workloads: Arc::new(workloads.clone()),
                nodes_max: NODES_MAX_DEFAULT,
            },
            heartbeats,
            Arc::new(LogDelivery::new(logs.clone(), roles.clone(), regions.clone())),
            passwords.clone(),
            Arc::new(NodeSigner::new(tls.clone(), join_token.clone())),
        )
        .with_task_roles(task_roles.clone())
        .with_secrets(Arc::new(TaskSecretReader::new(
            roles,
            secrets.clone(),
            parameters.clone(),
        )));
        let root = Credential::long_term(
            AccessKeyId::new(&key.access_key_id),
            SecretAccessKey::new(&key.secret_access_key),
            Principal::root(scope.account.clone()),
        );
        let credentials =
            Arc::new(StoredCredentials::new(root, store.clone(), sealer.clone(), keyring.clone()));
        let (named, directory) = (options.upstream_registry.clone(), data_dir.part("registry")?);
        let upstream = OtherRegistries::new(named, directory, secrets.clone());
        let cache = PullThroughCache::new(registry.clone(), Arc::new(upstream));
        let reserved = Router::new()
            .merge(health::router(readiness.clone(), metrics.clone(), disk.clone()))
            .merge(published_ports::router(own_node))
            .merge(identified(node_link::router(link.clone(), stopped.clone())))
            .merge(at_the_door(
                outport_image_registry::http::router_with(
                    registry.clone(),
                    Arc::new(
                        EcrAuthorizer::new(
                            sealer.clone(),
                            credentials.clone(),
                            permissions.clone(),
                            passwords,
                        )
                        .telling(Arc::new(trail.clone())),
                    ),
                    Arc::new(now_ms),
                    Some(Arc::new(cache.clone())),
                ),
                body_memory.clone(),
            ));
        let door = FrontDoor::builder(regions.clone(), credentials.clone())
            .permissions(permissions)
            .service(Arc::new(Regional::new(ecs, &scopes)))
            .service(Arc::new(Served(EventsService::new(store.clone()))))
            .service(Arc::new(Served(
                EcrService::new(
                    registry.clone(),
                    RegistryAddress::new(own_registry),
                    sealer.clone(),
                    credentials.clone(),
                )
                .with_cache(cache)
                .with_principals(Arc::new(StoredPrincipals(store.clone()))),
            )))
            .service(Arc::new(Served(LogsService::new(logs.clone()))))
            .service(Arc::new(Served(sts)))
            .service(Arc::new(Served(CloudTrailService::new(trail.0.clone()))))
            .service(Arc::new(Regional::new(
                Ec2Service::new(store.clone(), sealer.clone(), regions.clone()),
                &scopes,
            )))
            .service(Arc::new(Served(IamService::new(store.clone(), keyring))))
            .service(Arc::new(Served(secrets)))
            .service(Arc::new(Served(parameters)))
            .service(Arc::new(Served(kms.clone())))
            .reserved(reserved)
            .audit(Arc::new(trail.clone()))
            .tls(Arc::new(NodesAtTheDoor { tls, link: link.clone() }))
            .plain_http(options.plain_http.into())
            .body_memory(body_memory)
            .build()?;

        let host_integration = integrate(options, data_dir.instance(), address)?;
        let endpoint = Endpoint {
            url: url.clone(),
            region: scope.region.to_string(),
            key,
            https_url: Some(https_url.clone()),
            authority,
        };
        if let Err(error) = data_dir.publish(&endpoint) {
            // A convenience for `outport env`; tasks are to be stopped even where it cannot be written.
            tracing::warn!(
                event = "endpoint_file_not_written",
                %error,
                "cannot write the file that `outport env` reads: it will not print the address of this start"
            );
        }
        let asked = Asked {
            parts,
            join_token: join_token.clone(),
            accounts,
            directory: data_dir.path().to_owned(),
        };
        let mut upkeep = upkeep::start(store, logs, registry, disk, metrics);
        upkeep.push(upkeep::write_uses(credentials));
        upkeep.push(upkeep::rotate_keys(kms));
        upkeep.extend(admin_door::open(asked, stopped.clone()));
        let door = tokio::spawn(async move {
            let shutdown = async move {
                // A sender that is gone means the same.
                let _stopped = stopped.wait_for(|stop| *stop).await.is_ok();
            };
            door.serve(vec![listener], shutdown).await;
        });
        Ok(Self {
            url,
            node_url: https_url,
            join_token,
            readiness,
            scope,
            regions,
            vpc_cidr: cidr,
            controllers: Some(controllers),
            door,
            stop,
            upkeep,
            trail,
            host_integration,
        })
    }

    /// Says it to whoever started this; scripts wait for the first line.
    pub fn say_ready(&self, data_dir: &DataDir, offered: Option<Offered<'_>>) {
        let served =
            summary::Served { scope: &self.scope, regions: &self.regions, vpc_cidr: self.vpc_cidr };
        let more = summary::lines(data_dir.path(), Some(served), offered);
        output::say(format_args!("outport is ready at {}\n{more}", self.url));
        service_manager::is_ready();
    }

    /// Nothing is started any more; what nodes report is still taken.
    pub async fn stop_controllers(&mut self) {
        if let Some(controllers) = self.controllers.take() {
            controllers.stop().await;
        }
    }

    /// Answers what is under way, then ends.
    pub async fn stop(mut self) {
        self.readiness.set(Stage::Stopping);
        self.stop_controllers().await;
        self.stop.send_replace(true);
        if let Err(error) = self.door.await {
            tracing::error!(
                event = "front_door_failed",
                %error,
                "the front door failed as it stopped"
            );
        }
        for round in &self.upkeep {
            round.abort();
        }
        self.trail.end().await;
        if let Some(file) = self.host_integration
            && let Err(error) = file.remove()
        {
            tracing::error!(
                event = "registry_drop_in_not_removed",
                %error,
                "cannot remove the file that tells podman, skopeo and buildah of the registry"
            );
        }
    }
}

/// Who answers questions of permission.
fn permissions(options: &ControlPlaneOptions, store: &Store) -> Arc<dyn PermissionSource> {
    if options.permissive {
        tracing::warn!(
            event = "permissions_not_enforced",
            "what policies do not allow is allowed, and logged: leave out --permissive for anything but trying"
        );
        return Arc::new(Permissive::new(store.clone()));
    }
    Arc::new(StoredPermissions::new(store.clone()))
}

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// The pair of the environment, or the one of the data directory.
fn root_key(data_dir: &DataDir, options: &ControlPlaneOptions) -> Result<KeyPair> {
    given_root_key(options)?.map_or_else(|| data_dir.root_key(), Ok)
}

fn given_root_key(options: &ControlPlaneOptions) -> Result<Option<KeyPair>> {
    match (&options.root_access_key_id, &options.root_secret_access_key) {
        (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => {
            Ok(Some(KeyPair { access_key_id: id.clone(), secret_access_key: secret.clone() }))
        }
        (None, None) => Ok(None),
        _ => bail!(
            "OUTPORT_ROOT_ACCESS_KEY_ID and OUTPORT_ROOT_SECRET_ACCESS_KEY go together: set both, \
             to any text that is not empty, or none"
        ),
    }
}

/// Connections that may wait to be taken in; the kernel's own limit, `net.core.somaxconn`, may be lower. A crowd must not
/// fill it while it is being shown out.
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart need not wait for connections of before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|error| {
        anyhow!("cannot listen on {address}: {error}: {}", listen_address::advice(error.kind()))
    })
}

/// How this host reaches a listener: one on all addresses is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

fn controllers(
    store: &Store,
    heartbeats: Arc<Heartbeats>,
    services: ServiceController,
    events: EventController,
) -> Driver {
    let settings = Settings::default();
    Driver::start(
        store,
        vec![
            Box::new(services),
            Box::new(events),
            Box::new(NodeHealthController::new(heartbeats, settings.clone())),
            Box::new(RetentionController::new(settings)),
        ],
    )
}

fn integrate(
    options: &ControlPlaneOptions,
    instance: &str,
    address: SocketAddr,
) -> Result<Option<HostIntegration>> {
    if options.no_host_integration {
        return Ok(None);
    }
    instances::remove_drop_ins_of_dead_instances(instance);
    let Some(file) = HostIntegration::new(instance, address) else { return Ok(None) };
    match file.write() {
        Ok(_) => Ok(Some(file)),
        Err(error) => {
            // A convenience for other tools: without root it is not there, and nothing else breaks.
            tracing::warn!(
                event = "registry_drop_in_not_written",
                %error,
                "cannot write the file that tells podman, skopeo and buildah that the registry is plain HTTP"
            );
            Ok(None)
        }
    }
}
