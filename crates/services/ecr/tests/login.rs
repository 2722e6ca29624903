//! From `GetAuthorizationToken` to a push and a pull with real Skopeo, which must be installed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outport_aws_ecr::{
    CreateRepositoryRequest, DescribeImagesRequest, EcrHandler, GetAuthorizationTokenRequest,
};
use outport_identity::{AccountRoots, Arrival, Call, Credential, Sealer, SecretAccessKey};
use outport_image_registry::{HostIntegration, Limits, Registry, http as endpoint};
use outport_model::NodeId;
use outport_model::own_registry::OwnRegistry;
use outport_service_ecr::{EcrAuthorizer, EcrService, PullSource, RegistryAddress};

const NOW_MS: i64 = 1_700_000_000_000;

/// No node has any task.
struct NoTasks;

impl PullSource for NoTasks {
    fn pulls(&self, _: &NodeId, _: &str) -> bool {
        false
    }
}

fn call() -> Call {
    Call::for_tests().at(NOW_MS)
}

/// A free port of the loopback interface that the system does not hand out to clients.
async fn listen() -> tokio::net::TcpListener {
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    for port in start..start + 2_000 {
        if let Ok(listener) = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return listener;
        }
    }
    panic!("no free port from {start} on");
}

/// An image without layers, as a directory that Skopeo can push.
fn write_image(directory: &Path) {
    let config = r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let digest = outport_image_registry::Digest::of(
        outport_image_registry::Algorithm::Sha256,
        config.as_bytes(),
    );
    let size = config.len();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{size}}},"layers":[]}}"#
    );
    std::fs::create_dir_all(directory).expect("a directory");
    std::fs::write(directory.join(digest.hex()), config).expect("a config");
    std::fs::write(directory.join("manifest.json"), manifest).expect("a manifest");
    std::fs::write(directory.join("version"), "Directory Transport Version: 1.1\n")
        .expect("a version");
}

async fn skopeo(home: &Path, arguments: &[&str]) {
    let mut command = Command::new("skopeo");
    command.args(arguments).env("HOME", home).env("REGISTRY_AUTH_FILE", home.join("auth.json"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends");
    let output = output.expect("skopeo is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_get_authorization_token_pushes_and_pulls() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("home");
    let registry = Registry::open(&directory.path().join("registry"), Limits::default());
    let registry = registry.expect("a registry");
    let sealer = Arc::new(Sealer::new(&[9; 32]));
    let listener = listen().await;
    let address = listener.local_addr().expect("an address");
    let credential = Arc::new(Credential {
        access_key_id: call().access_key_id,
        secret_access_key: SecretAccessKey::new("secret"),
        principal: call().principal,
        session: None,
    });
    let authorizer = Arc::new(EcrAuthorizer::new(
        Arc::clone(&sealer),
        credential.clone(),
        Arc::new(AccountRoots),
        Arc::new(NoTasks),
    ));
    let routes = endpoint::router(Arc::clone(&registry), authorizer, Arc::new(|| NOW_MS));
    // As the front door does.
    let routes = routes.layer(axum::Extension(Arrival::for_tests()));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let own = OwnRegistry { host: address.to_string(), names: Vec::new() };
    let service = EcrService::new(registry, RegistryAddress::new(own), sealer, credential);

    let input =
        CreateRepositoryRequest { repository_name: Some("app".into()), ..Default::default() };
    let created = service.create_repository(&call(), input).await.expect("created");
    let uri = created.repository.and_then(|one| one.repository_uri).expect("a URI");
    let input = GetAuthorizationTokenRequest::default();
    let granted = service.get_authorization_token(&call(), input).await.expect("a token");
    let granted = granted.authorization_data.expect("a list").remove(0);
    let token = STANDARD.decode(granted.authorization_token.expect("a token")).expect("base64");
    let token = String::from_utf8(token).expect("a text");
    let (user, password) = token.split_once(':').expect("user and password");

    let drop_ins = home.join(".config/containers/registries.conf.d");
    let integration = HostIntegration::in_directory(&drop_ins, "test", address);
    assert!(integration.expect("a loopback address").write().expect("written"));
    let policy = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
    std::fs::write(home.join(".config/containers/policy.json"), policy).expect("a policy");
    let image = directory.path().join("image");
    write_image(&image);
    let (source, target) = (format!("dir:{}", image.display()), format!("docker://{uri}:1.0"));
    let proxy_endpoint = granted.proxy_endpoint.expect("an endpoint");
    skopeo(&home, &["login", "--username", user, "--password", password, &proxy_endpoint]).await;
    skopeo(&home, &["copy", &source, &target]).await;
    let pulled = format!("dir:{}", directory.path().join("pulled").display());
    skopeo(&home, &["copy", &target, &pulled]).await;

    let input = DescribeImagesRequest { repository_name: Some("app".into()), ..Default::default() };
    let images = service.describe_images(&call(), input).await.expect("images");
    let images = images.image_details.expect("a list");
    assert_eq!(images[0].image_tags, Some(vec!["1.0".to_owned()]));
    assert!(images[0].last_recorded_pull_time.is_some(), "the pull was noted");
    serving.abort();
}
