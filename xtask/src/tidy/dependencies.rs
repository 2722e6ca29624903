//! Who may use whom. The table is ARCHITECTURE.md's, with its reasons there; a new arrow needs a
//! design note.

use super::Offences;
use super::workspace::Workspace;

/// A member, and what it may be built from. `outport-` is left out of the names.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("aws-wire", &[]),
    // Lines about calls, in files: design note 0031.
    ("audit-trail", &["identity", "model"]),
    // Documents that AWS publishes, and nothing else.
    ("aws-managed-policies", &[]),
    ("identity", &["model"]),
    ("planner", &["model"]),
    // What a policy says, and nothing of where it is kept or who asks: design note 0027.
    ("policy", &["model"]),
    ("certificates", &["model"]),
    ("aws-cloudtrail", &["aws-wire"]),
    ("aws-ec2", &["aws-wire"]),
    ("aws-ecr", &["aws-wire"]),
    ("aws-ecs", &["aws-wire"]),
    ("aws-events", &["aws-wire"]),
    ("aws-iam", &["aws-wire"]),
    ("aws-kms", &["aws-wire"]),
    ("aws-logs", &["aws-wire"]),
    ("aws-secretsmanager", &["aws-wire"]),
    ("aws-ssm", &["aws-wire"]),
    ("aws-sts", &["aws-wire"]),
    // A number of the kernel and a comparison: who shares a disk shares these.
    ("free-space", &[]),
    // Calls of the allocator: design note 0020.
    ("memory", &[]),
    // Files as they were, and one file of them: design note 0023.
    ("backup", &[]),
    // Secrets at rest: whoever keeps one.
    ("keyring", &[]),
    // Keys of KMS as rows: the service that keeps them, and those that keep values under them. Design note 0029.
    ("kms-keys", &["identity", "keyring", "model", "store"]),
    // A file and a count beside it: who keeps bytes shares it. Design note 0019.
    ("acknowledged", &["backup"]),
    ("store", &["acknowledged", "backup", "free-space", "model"]),
    // The store behind questions of permission: who answers requests shares it.
    ("guarded-store", &["identity", "store"]),
    // IAM's rows as answers to questions; the service that changes those rows does not answer them.
    ("permissions", &["aws-managed-policies", "identity", "keyring", "model", "policy", "store"]),
    (
        "service-iam",
        &[
            "aws-iam",
            "aws-managed-policies",
            "aws-wire",
            "guarded-store",
            "identity",
            "keyring",
            "model",
            "permissions",
            "policy",
            "store",
        ],
    ),
    (
        "service-kms",
        &[
            "aws-kms",
            "aws-wire",
            "guarded-store",
            "identity",
            "keyring",
            "kms-keys",
            "model",
            "permissions",
            "policy",
            "store",
        ],
    ),
    (
        "service-secretsmanager",
        &[
            "aws-secretsmanager",
            "aws-wire",
            "guarded-store",
            "identity",
            "keyring",
            "kms-keys",
            "model",
            "permissions",
            "policy",
            "store",
        ],
    ),
    (
        "service-ssm",
        &[
            "aws-ssm",
            "aws-wire",
            "guarded-store",
            "identity",
            "keyring",
            "kms-keys",
            "model",
            "store",
        ],
    ),
    // What rules of EventBridge say, as functions: who takes them and who delivers share it. Design note 0034.
    ("event-rules", &[]),
    (
        "service-events",
        &["aws-events", "aws-wire", "event-rules", "guarded-store", "identity", "model", "store"],
    ),
    // It looks at the trail, which the front door has written: design note 0031.
    ("service-cloudtrail", &["audit-trail", "aws-cloudtrail", "aws-wire", "identity", "model"]),
    // A request is answered from the store or the data plane that the service fronts; it never
    // talks to a node.
    ("service-ec2", &["aws-ec2", "aws-wire", "identity", "model", "planner", "store"]),
    (
        "service-ecr",
        &[
            "aws-ecr",
            "aws-wire",
            "identity",
            "image-registry",
            "model",
            "planner",
            "policy",
            "store",
        ],
    ),
    (
        "service-ecs",
        &[
            "aws-ecs",
            "aws-wire",
            "event-rules",
            "guarded-store",
            "identity",
            "model",
            "planner",
            "store",
        ],
    ),
    (
        "service-logs",
        &["aws-logs", "aws-wire", "identity", "log-store", "model", "planner", "store"],
    ),
    (
        "service-sts",
        &[
            "aws-managed-policies",
            "aws-sts",
            "aws-wire",
            "identity",
            "model",
            "planner",
            "policy",
            "store",
            "web-identity",
        ],
    ),
    // Tokens and keys of strangers, and no rows: design note 0032.
    ("web-identity", &["model"]),
    ("front-door", &["aws-wire", "identity", "memory", "model"]),
    // A client of the API as any other, beside log files of this host: design note 0021.
    ("operator", &["container-runtime", "identity"]),
    // Nothing inside speaks AWS JSON.
    ("controllers", &["event-rules", "model", "node-protocol", "planner", "store"]),
    ("node-protocol", &["model"]),
    // A node knows its assignment, not the cluster.
    (
        "node-agent",
        &[
            "certificates",
            "container-runtime",
            "free-space",
            "image-store",
            "model",
            "node-protocol",
            "task-disk",
            "task-network",
            "tree-removal",
            "user-namespace",
        ],
    ),
    // The shim mounts the disk of its task.
    ("container-runtime", &["model", "task-disk", "tree-removal", "user-namespace"]),
    ("task-disk", &[]),
    ("task-network", &["model", "user-namespace"]),
    // Calls of the kernel, as task-disk: design note 0010.
    ("user-namespace", &[]),
    ("image-store", &["free-space", "model", "tree-removal"]),
    // Below all that keep what strangers filled: design note 0005.
    ("tree-removal", &[]),
    // They keep their own bytes.
    ("image-registry", &["acknowledged", "backup", "free-space", "model"]),
    ("log-store", &["acknowledged", "backup", "free-space", "model"]),
    // It calls the operations as the front door does, and runs tasks as a node does.
    (
        "simulation",
        &[
            "aws-ecs",
            "aws-wire",
            "controllers",
            "identity",
            "model",
            "node-agent",
            "node-protocol",
            "planner",
            "service-ecs",
            "store",
        ],
    ),
    ("xtask", &["aws-wire", "identity"]),
];
/// What the tests of a member may use beside.
const ALLOWED_IN_TESTS: &[(&str, &[&str])] = &[
    (
        "front-door",
        &[
            "aws-cloudtrail",
            "aws-ec2",
            "aws-ecr",
            "aws-ecs",
            "aws-events",
            "aws-iam",
            "aws-kms",
            "aws-logs",
            "aws-secretsmanager",
            "aws-ssm",
            "aws-sts",
        ],
    ),
    // Whose sessions are what the front door would find.
    ("service-sts", &["keyring", "permissions"]),
    // Its bench measures with the program's allocator.
    ("simulation", &["memory"]),
];
/// The binary wires the whole house; these stand outside of it.
const BINARY: &str = "outport";
const NOT_IN_THE_BINARY: [&str; 2] = ["simulation", "xtask"];

pub fn check(workspace: &Workspace) -> Offences {
    let mut offences = Vec::new();
    for member in workspace.members() {
        let name = short(&member.name);
        for of_tests in [false, true] {
            for used in workspace.arrows(member, of_tests).into_iter().map(short) {
                if !is_allowed(name, used, of_tests) {
                    let who = if of_tests { "the tests of " } else { "" };
                    offences.push(format!(
                        "{who}{name} may not use {used}: see \"Who may depend on whom\" in \
                         ARCHITECTURE.md"
                    ));
                }
            }
        }
        if name != BINARY && row(ALLOWED, name).is_none() {
            offences
                .push(format!("{name} has no row in the table of xtask/src/tidy/dependencies.rs"));
        }
    }
    offences
}

fn is_allowed(name: &str, used: &str, of_tests: bool) -> bool {
    if name == BINARY {
        return !NOT_IN_THE_BINARY.contains(&used);
    }
    let built_in = row(ALLOWED, name).is_some_and(|row| row.contains(&used));
    let in_tests = row(ALLOWED_IN_TESTS, name).is_some_and(|row| row.contains(&used));
    built_in || of_tests && in_tests
}

fn row<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(member, _)| *member == name).map(|(_, row)| *row)
}

fn short(package: &str) -> &str {
    package.strip_prefix("outport-").unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, used: &str, of_tests: bool, expected: bool) {
        assert_eq!(is_allowed(name, used, of_tests), expected, "{name} -> {used}");
    }

    #[test]
    fn arrows_of_the_table() {
        check("planner", "model", false, true);
        check("model", "planner", false, false);
        check("service-ecs", "controllers", false, false);
        check("service-ecs", "aws-ecr", false, false);
        check("controllers", "aws-wire", false, false);
        check("node-agent", "store", true, false);
        check("front-door", "aws-ecs", false, false);
        check("front-door", "aws-ecs", true, true);
        check("outport", "controllers", false, true);
        check("outport", "xtask", false, false);
        check("stranger", "model", false, false);
    }
}
