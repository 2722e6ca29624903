//! What this version does not run of a task definition: the one table by which tasks are refused, and which
//! `docs/compatibility.md` shows (`cargo xtask compatibility` reads this file, too).
//!
//! **Invariant:** constants only, and nothing of another file. A member that is neither here nor in `workload` has no
//! effect on how a container runs.

/// A member of a definition that is not run.
pub struct Limit {
    /// Its path in the document; `[]` stands for each of a list.
    pub member: &'static str,
    pub when: When,
    /// Only where another member of the same container, or of the task, has this value.
    pub only: Option<(&'static str, &'static str)>,
    /// What comes of it, or what to do instead; may be empty.
    pub note: &'static str,
}

/// Which values of a member are not run.
pub enum When {
    /// Any but null, false, and what is empty.
    Used,
    /// This; `*` at the end stands for anything.
    Is(&'static str),
    /// Any but these; `*` at the end stands for anything.
    IsNot(&'static [&'static str]),
    /// An object with a name other than these.
    HasOther(&'static [&'static str]),
}

const fn used(member: &'static str, note: &'static str) -> Limit {
    Limit { member, when: When::Used, only: None, note }
}

const fn is(member: &'static str, value: &'static str) -> Limit {
    Limit { member, when: When::Is(value), only: None, note: "" }
}

const fn is_not(
    member: &'static str,
    values: &'static [&'static str],
    note: &'static str,
) -> Limit {
    Limit { member, when: When::IsNot(values), only: None, note }
}

const LOG_DRIVER: &str = "containerDefinitions[].logConfiguration.logDriver";
const LOG_OPTIONS: &str = "containerDefinitions[].logConfiguration.options";
const CONTROL: &str = "containerDefinitions[].systemControls[].namespace";

/// Kernel parameters that belong to a container alone: those of its IPC and network namespaces; any other would change
/// the host.
/// Source: "Configure namespaced kernel parameters (sysctls) at runtime" of Docker, which AWS refers to.
const NAMESPACED: [&str; 10] = [
    "net.*",
    "fs.mqueue.*",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The options of `awslogs` that are built.
const AWSLOGS_OPTIONS: [&str; 6] = [
    "awslogs-group",
    "awslogs-region",
    "awslogs-stream-prefix",
    "awslogs-create-group",
    "mode",
    "max-buffer-size",
];

/// In the order in which callers are told.
pub const LIMITS: [Limit; 32] = [
    used("pidMode", ""),
    used("ipcMode", ""),
    used("proxyConfiguration", ""),
    used("inferenceAccelerators", ""),
    used("enableFaultInjection", ""),
    used("volumes", ""),
    used("trustedExecutionConfiguration", ""),
    is_not("runtimePlatform.operatingSystemFamily", &["LINUX"], ""),
    is_not("runtimePlatform.cpuArchitecture", &["X86_64", "ARM64"], ""),
    used("containerDefinitions[].environmentFiles", ""),
    used("containerDefinitions[].mountPoints", ""),
    used("containerDefinitions[].volumesFrom", ""),
    used("containerDefinitions[].links", ""),
    used("containerDefinitions[].dockerSecurityOptions", ""),
    used("containerDefinitions[].credentialSpecs", ""),
    used("containerDefinitions[].resourceRequirements", ""),
    used("containerDefinitions[].firelensConfiguration", ""),
    used("containerDefinitions[].disableNetworking", ""),
    used("containerDefinitions[].interactive", ""),
    used("containerDefinitions[].pseudoTerminal", ""),
    used("containerDefinitions[].restartPolicy.enabled", ""),
    used("containerDefinitions[].portMappings[].containerPortRange", ""),
    is("containerDefinitions[].versionConsistency", "disabled"),
    used("containerDefinitions[].linuxParameters.devices", ""),
    used("containerDefinitions[].linuxParameters.maxSwap", ""),
    used("containerDefinitions[].linuxParameters.swappiness", ""),
    is_not(LOG_DRIVER, &["awslogs", "json-file"], ""),
    Limit {
        member: LOG_OPTIONS,
        when: When::HasOther(&AWSLOGS_OPTIONS),
        only: Some((LOG_DRIVER, "awslogs")),
        note: "",
    },
    Limit {
        member: LOG_OPTIONS,
        when: When::HasOther(&[]),
        only: Some((LOG_DRIVER, "json-file")),
        note: "",
    },
    used(
        "containerDefinitions[].logConfiguration.secretOptions",
        "no log driver that is run takes a secret",
    ),
    is_not(CONTROL, &NAMESPACED, "the parameter would change the host"),
    Limit {
        member: CONTROL,
        when: When::Is("net.*"),
        only: Some(("networkMode", "host")),
        note: "the parameter would change the host",
    },
];
