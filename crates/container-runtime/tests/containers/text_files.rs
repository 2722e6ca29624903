//! The small files that a container gets, such as its `/etc/hosts`.

use outport_container_runtime::TextFile;

use crate::host::Host;

fn files() -> Vec<TextFile> {
    let file = |target: &str, text: &str| TextFile { target: target.into(), text: text.into() };
    vec![file("/etc/hosts", "10.0.0.1 peer\n"), file("/etc/resolv.conf", "nameserver 10.0.0.2\n")]
}

#[test]
fn a_container_reads_its_files_and_may_change_them() {
    let host = Host::new();
    let mut spec =
        host.shell("cat /etc/hosts /etc/resolv.conf; echo mine > /etc/hosts; cat /etc/hosts");
    spec.files = files();
    let (record, output) = host.run("files", spec);
    assert_eq!(record.exit_code, Some(0));
    assert_eq!(output, "10.0.0.1 peer\nnameserver 10.0.0.2\nmine\n");
}

#[test]
fn they_have_an_end() {
    let host = Host::new();
    let mut spec = host.shell(
        "dd if=/dev/zero of=/etc/hosts bs=64k count=64 2>/dev/null || echo full; \
         test $(stat -c %s /etc/hosts) -le 2000000 && echo small",
    );
    spec.files = files();
    assert_eq!(host.run("end", spec).1, "full\nsmall\n");
}

#[test]
fn they_are_as_read_only_as_the_root() {
    let host = Host::new();
    let mut spec = host.shell(
        "cat /etc/hosts; for file in /a /etc/hosts; do echo b 2>/dev/null > $file || echo denied; done",
    );
    spec.files = files();
    spec.readonly_rootfs = true;
    assert_eq!(host.run("read-only", spec).1, "10.0.0.1 peer\ndenied\ndenied\n");
}
