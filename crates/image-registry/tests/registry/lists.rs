//! Tags, repositories and referrers, page by page.

use http::Method;

use crate::server::{OCI_MANIFEST, Server, sha256};

/// Follows the links from `path` and returns the names of each page under `key`.
async fn pages(server: &Server, path: &str, key: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (path.to_owned(), Vec::new());
    loop {
        let answer = server.send(Method::GET, &path, "").await.expect(200);
        let names = answer.json()[key].as_array().expect("a list").clone();
        let text = |name: &serde_json::Value| match name["digest"].as_str().or(name.as_str()) {
            Some(text) => text.to_owned(),
            None => panic!("{name}"),
        };
        pages.push(names.iter().map(text).collect());
        let link = answer.header("link");
        let Some(next) =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""))
        else {
            assert_eq!(link, "");
            return pages;
        };
        path = next.to_owned();
    }
}

#[tokio::test]
async fn tags_come_in_order_and_in_pages() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("team/app");
    server.create("base");
    assert_eq!(pages(&server, "/v2/team/app/tags/list", "tags").await, [[""; 0]]);
    for tag in ["c", "a", "b", "B", "latest"] {
        server.push_image("team/app", tag, b"layer").await;
    }
    let all = server.send(Method::GET, "/v2/team/app/tags/list", "").await.expect(200).json();
    assert_eq!(
        all,
        serde_json::json!({ "name": "team/app", "tags": ["B", "a", "b", "c", "latest"] })
    );
    let paged = pages(&server, "/v2/team/app/tags/list?n=2", "tags").await;
    assert_eq!(paged, [vec!["B", "a"], vec!["b", "c"], vec!["latest"]]);
    let rest = pages(&server, "/v2/team/app/tags/list?last=b", "tags").await;
    assert_eq!(rest, [["c", "latest"]]);
    assert_eq!(pages(&server, "/v2/team/app/tags/list?n=0", "tags").await, [[""; 0]]);
    server.send(Method::GET, "/v2/team/app/tags/list?n=-1", "").await.expect(400);
    let catalog = pages(&server, "/v2/_catalog?n=1", "repositories").await;
    assert_eq!(catalog, [["base"], ["team/app"]]);
}

#[tokio::test]
async fn referrers_are_listed_by_subject_and_type() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let empty = server.push_blob("app", b"{}").await;
    // The subject need not exist.
    let subject = sha256(b"an image that comes later");
    let path = format!("/v2/app/referrers/{subject}");
    assert_eq!(pages(&server, &path, "manifests").await, [[""; 0]]);
    let mut pushed = Vec::new();
    for (number, kind) in ["sbom", "sbom", "signature"].iter().enumerate() {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","artifactType":"test/{kind}",
                "config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{empty}","size":2}},
                "layers":[],"subject":{{"mediaType":"{OCI_MANIFEST}","digest":"{subject}","size":1}},
                "annotations":{{"number":"{number}"}}}}"#
        );
        let digest = sha256(manifest.as_bytes()).to_string();
        let headers = [("content-type", OCI_MANIFEST)];
        let path = format!("/v2/app/manifests/{digest}");
        let stored = server.send_with(Method::PUT, &path, &headers, manifest).await.expect(201);
        assert_eq!(stored.header("oci-subject"), subject.to_string());
        pushed.push(digest);
    }
    let mut expected = pushed.clone();
    expected.sort();
    let all = server.send(Method::GET, &path, "").await.expect(200);
    assert_eq!(all.header("content-type"), "application/vnd.oci.image.index.v1+json");
    assert_eq!(all.header("oci-filters-applied"), "");
    assert_eq!(pages(&server, &path, "manifests").await, [expected]);
    let filtered = format!("{path}?artifactType=test%2Fsignature");
    let answer = server.send(Method::GET, &filtered, "").await.expect(200);
    assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    let manifests = &answer.json()["manifests"];
    assert_eq!(manifests.as_array().map(Vec::len), Some(1));
    assert_eq!(manifests[0]["digest"], pushed[2]);
    assert_eq!(manifests[0]["artifactType"], "test/signature");
    assert_eq!(manifests[0]["annotations"]["number"], "2");
    server.send(Method::DELETE, &format!("/v2/app/manifests/{}", pushed[2]), "").await.expect(202);
    let left = server.send(Method::GET, &filtered, "").await.expect(200).json();
    assert_eq!(left["manifests"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn many_referrers_come_in_pages() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let empty = server.push_blob("app", b"{}").await;
    let subject = sha256(b"subject");
    for number in 0..201 {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"test/a","digest":"{empty}","size":2}},"layers":[],"subject":{{"digest":"{subject}"}},"annotations":{{"number":"{number}"}}}}"#
        );
        let path = format!("/v2/app/manifests/{}", sha256(manifest.as_bytes()));
        server.send(Method::PUT, &path, manifest).await.expect(201);
    }
    let path = format!("/v2/app/referrers/{subject}?artifactType=test/a");
    let sizes: Vec<usize> = pages(&server, &path, "manifests").await.iter().map(Vec::len).collect();
    assert_eq!(sizes, [200, 1]);
}
