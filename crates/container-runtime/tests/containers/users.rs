//! Who the process runs as, and what it may then do.

use crate::host::Host;

#[test]
fn users_groups_and_homes() {
    let host = Host::new();
    let check = |user: &str, gids: &[u32], expected: &str| {
        let mut spec = host.shell("echo $(id -u) $(id -g) $(id -G) $HOME");
        spec.user = user.into();
        spec.additional_gids = gids.to_vec();
        assert_eq!(host.run("id", spec).1.trim(), expected, "{user:?}");
        host.remove("id");
    };
    check("", &[], "0 0 0 /root");
    check("app", &[], "1000 1001 1001 50 /home/app");
    check("app:staff", &[], "1000 50 50 /home/app");
    check("1000:77", &[8], "1000 77 77 8 /home/app");
    check("4242", &[], "4242 0 0 /");
    host.check_nothing_left();
}

#[test]
fn another_user_holds_no_capability_and_may_use_its_outputs() {
    let host = Host::new();
    let mut spec = host.shell(
        "awk '/^Cap(Inh|Prm|Eff|Amb)/{print $2}' /proc/self/status | tr '\\n' ' '; \
         awk '/^CapBnd/{print $2}' /proc/self/status; echo again > /dev/stdout; \
         echo err > /proc/self/fd/2; touch /etc/x 2>/dev/null || echo denied",
    );
    spec.user = "app".into();
    let (_, output) = host.run("app", spec);
    let none = "0000000000000000";
    let expected = format!("{none} {none} {none} {none} 00000000a80425fb\nagain\ndenied\n");
    assert_eq!(output, expected);
}
