//! Options of a control plane.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use outport_certificates::ServerName;
use outport_log_store::limits::RETENTION_DAYS;
use outport_service_ec2::default_vpc;
use outport_web_identity::KeySource;

use super::{DataDir, MasterKeyOptions};
use crate::pull_through::UpstreamAddress;

/// Of what callers may fill the store with.
const STATE_MIB_DEFAULT: u32 = (outport_store::BYTES_MAX_DEFAULT >> 20) as u32;
/// Some hundred thousand calls.
const AUDIT_MIB_DEFAULT: u32 = 256;

#[derive(Clone, Debug, Args)]
pub struct ControlPlaneOptions {
    #[command(flatten)]
    pub data_dir: DataDir,
    /// The address that the AWS API, the registry and the nodes are served on: 4566 is that port for this
    /// machine only (127.0.0.1), :4566 the port on all its addresses (0.0.0.0), or HOST:PORT
    #[arg(
        long,
        value_name = "[HOST:]PORT",
        default_value = "127.0.0.1:4566",
        value_parser = crate::listen_address::parse,
        env = "OUTPORT_LISTEN"
    )]
    pub listen: SocketAddr,
    #[arg(long, value_name = "CIDR", help = default_vpc_help(), env = "OUTPORT_DEFAULT_VPC_CIDR")]
    pub default_vpc_cidr: Option<String>,
    /// The account of this installation, 12 digits; 000000000000 unless given at the first start, which
    /// fixes it
    #[arg(long, value_name = "ID", env = "OUTPORT_ACCOUNT_ID")]
    pub account_id: Option<String>,
    /// The region that this installation is at home in; us-east-1 unless given at the first start, which fixes it
    #[arg(long, value_name = "REGION", env = "OUTPORT_REGION")]
    pub region: Option<String>,
    /// The regions that callers may name beside the own one, each with resources and a default VPC of its own; may be given
    /// several times, or several with commas; all: every region of AWS's partition, which `up` serves unless it is given
    #[arg(long, value_name = "REGIONS", value_delimiter = ',', env = "OUTPORT_REGIONS")]
    pub regions: Vec<String>,
    /// The root access key to use instead of the one made at the first start
    #[arg(long, hide = true, env = "OUTPORT_ROOT_ACCESS_KEY_ID")]
    pub root_access_key_id: Option<String>,
    #[arg(long, hide = true, env = "OUTPORT_ROOT_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub root_secret_access_key: Option<String>,
    #[command(flatten)]
    pub master_key: MasterKeyOptions,
    /// Host, and port unless it is that of --listen, by which clients elsewhere reach this server; the
    /// registry's address for those that came by no name of this host
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::tls::public_address, env = "OUTPORT_PUBLIC_ADDRESS")]
    pub public_address: Option<String>,
    /// A further name or address that the server's certificate is good for; may be given several times, or
    /// several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "OUTPORT_TLS_NAME")]
    pub tls_name: Vec<ServerName>,
    /// A certificate of your own for clients, with its chain (PEM); nodes go on with the installation's
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "OUTPORT_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM); both files are read again when they change
    #[arg(long, value_name = "FILE", requires = "tls_certificate", env = "OUTPORT_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Who is answered without TLS
    #[arg(long, value_name = "WHO", value_enum, default_value_t, env = "OUTPORT_PLAIN_HTTP")]
    pub plain_http: PlainHttp,
    /// Allow what a user or a role of the own account may not do, and log it with the statement that would
    /// allow it: for those who come from an emulator
    #[arg(long, env = "OUTPORT_PERMISSIVE")]
    pub permissive: bool,
    /// Where the keys of an OpenID Connect provider are that sign its tokens (JWKS), for AssumeRoleWithWebIdentity: a file, or
    /// a URL of any host; asked of the provider itself unless given. May be given several times, or several with commas
    #[arg(long, value_name = "ISSUER=FILE|URL", value_delimiter = ',', env = "OUTPORT_OIDC_JWKS")]
    pub oidc_jwks: Vec<KeySource>,
    /// A registry that pull-through cache rules of ECR may name beside those that AWS knows: https://HOST[:PORT], or http:// for one
    /// without TLS; may be given several times, or several with commas
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        value_parser = crate::pull_through::parse,
        env = "OUTPORT_UPSTREAM_REGISTRY"
    )]
    pub upstream_registry: Vec<UpstreamAddress>,
    /// GiB that the registry's images may take; half of the disk unless given
    #[arg(long, value_name = "GIB", env = "OUTPORT_REGISTRY_GIB")]
    pub registry_gib: Option<u32>,
    /// GiB that CloudWatch Logs may take; a quarter of the disk unless given
    #[arg(long, value_name = "GIB", env = "OUTPORT_LOGS_GIB")]
    pub logs_gib: Option<u32>,
    /// Days that log groups which are made from now on keep their events, one of those that PutRetentionPolicy takes; for ever
    /// unless given. PutRetentionPolicy says otherwise for one group
    #[arg(long, value_name = "DAYS", value_parser = retention_days, env = "OUTPORT_LOG_RETENTION_DAYS")]
    pub log_retention_days: Option<i64>,
    /// Seconds after RUNNING from which a task without health check counts as healthy, which every step of a roll-out waits
    /// for: AWS's 40; 1 is enough for a trial
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 40,
        value_parser = clap::value_parser!(u32).range(0..=3_600),
        env = "OUTPORT_TASK_HEALTHY_AFTER"
    )]
    pub task_healthy_after: u32,
    /// MiB that task definitions, secrets, parameters, IAM, services, tasks and clusters may take together; they are all
    /// in memory
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = STATE_MIB_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "OUTPORT_STATE_MIB"
    )]
    pub state_mib: u32,
    /// MiB that the audit trail may take: who called what, kept until newer calls need the room
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = AUDIT_MIB_DEFAULT,
        value_parser = clap::value_parser!(u32).range(16..),
        env = "OUTPORT_AUDIT_MIB"
    )]
    pub audit_mib: u32,
    /// Do not tell podman, skopeo and buildah on this host that the registry speaks plain HTTP
    #[arg(long, env = "OUTPORT_NO_HOST_INTEGRATION")]
    pub no_host_integration: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlainHttp {
    /// Clients on this host
    #[default]
    Loopback,
    /// Also clients elsewhere; who is on the way reads and changes what they say
    Everyone,
    /// Nobody
    Nobody,
}

fn retention_days(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(days) if RETENTION_DAYS.contains(&days) => Ok(days),
        _ => Err(format!("AWS takes one of {RETENTION_DAYS:?}")),
    }
}

fn default_vpc_help() -> String {
    let (widest, narrowest) = (default_vpc::PREFIX_MIN, default_vpc::PREFIX_MAX);
    format!(
        "The address range of the default VPC, /{widest} to /{narrowest}; {} unless given at the first start, \
         which fixes it; `up` takes another one if this host uses that",
        default_vpc::DEFAULT_CIDR
    )
}
