//! A run as phases of kernel calls.
//!
//! Pure: [`compile`] makes it from the plan. It is a struct of phases, so that an order that would be wrong cannot be written.

use std::os::fd::RawFd;

use super::broker::BrokerSpec;
use super::seccomp::FilterSpec;
use crate::host::Facts;
use crate::plan::{FileAction, Node, Plan, Reporter};
use crate::policy::{AbsPath, FsPolicy, Located, Matcher, Policy, SocketRule};
use crate::unix::{Command, Exec};
use crate::{Fault, Faults};

/// Sockets of each family for connections from outside, and so how many there can be at once: each is used again when its connection has ended.
const INWARD: usize = 64;

/// One run, ready to be armed.
#[derive(Debug)]
pub struct Script {
    /// First, because every other right comes from the user namespace.
    pub identity: Identity,
    /// Made on the host before the fork, so that it can be mounted.
    pub private_tmp: AbsPath,
    /// Missing write roots, likewise.
    pub make: Vec<AbsPath>,
    /// What the command is put into; `None`: it stays in the host's namespaces.
    pub namespaces: Option<Namespaces>,
    /// After everything that needs a capability or a mount.
    pub confinement: Confinement,
    /// Who judges names; `None`: nobody, and nothing that needs it is open.
    pub broker: Option<BrokerScript>,
    /// The supervisor says when the command may start: something outside is to watch it from its first call on.
    pub gated: bool,
    /// Ports of the host's loopback at which the supervisor listens, since before the fork.
    pub publish: Vec<Located<u16>>,
    /// Last.
    pub(crate) exec: Exec,
}

/// A file tree and a network of the command's own.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Before confinement, which would forbid them.
    pub mounts: Mounts,
    /// Inside the new network namespace, before capabilities are dropped: bringing an interface up needs them.
    pub network: Network,
}

/// The broker's part.
#[derive(Clone, Debug)]
pub struct BrokerScript {
    /// The rules on files.
    pub files: FsPolicy,
    /// Everything else.
    pub spec: BrokerSpec,
}

/// Ids inside are ids outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The one user id.
    pub uid: u32,
    /// The one group id.
    pub gid: u32,
}

/// The file tree.
#[derive(Clone, Debug)]
pub struct Mounts {
    /// In path order; the first is the root.
    pub steps: Vec<MountStep>,
    /// mount_setattr(2) and its relatives, or mount(2).
    pub new_api: bool,
    /// Where the kernel refuses a new procfs, bind the caller's.
    pub host_proc_allowed: bool,
    /// Bind the caller's terminal as `/dev/console`, so that `ttyname` finds a name for it.
    pub terminal: bool,
    /// `/etc/resolv.conf` names the sandbox's own name server.
    pub own_resolver: bool,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountStep {
    /// The object at `path` in the caller's tree, with everything below it.
    Bind {
        /// Where, in both trees.
        path: AbsPath,
        /// May it be written?
        writable: bool,
    },
    /// An unreadable object over the one at `path`.
    Hide {
        /// Where.
        path: AbsPath,
        /// What to put there.
        directory: bool,
    },
    /// A directory that shows only what later steps mount into it.
    Passage {
        /// Where.
        path: AbsPath,
        /// What to make in it.
        nodes: Vec<Node>,
    },
}

impl MountStep {
    /// Where it is mounted.
    pub fn path(&self) -> &AbsPath {
        match self {
            MountStep::Bind { path, .. } | MountStep::Hide { path, .. } | MountStep::Passage { path, .. } => path,
        }
    }
}

/// Loopback, routes and sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Port of the proxy on the inner loopback.
    pub proxy_port: u16,
    /// Every address leads to a listener of ours, and there is a name server.
    pub transparent: bool,
    /// Sockets of each family for connections from the host's loopback to the inner one.
    pub inward: usize,
    /// The supervisor's listeners on the host, by number: open in `init` only because it is a copy of the supervisor.
    pub host_listeners: Vec<RawFd>,
}

/// Capabilities, Landlock, seccomp, in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Landlock ABI; 0: none.
    pub landlock_abi: u32,
    /// Keep signals and abstract sockets inside.
    pub landlock_scopes: bool,
    /// `/dev` and `/proc` are the sandbox's own, and Landlock is the second layer; else it is the first, and handles every right that changes something.
    pub own_tree: bool,
    /// Directories and files of the host beneath which writing is allowed.
    pub write_roots: Vec<AbsPath>,
    /// Where UNIX sockets made outside may be connected to, as the kernel's own rule (Landlock ABI 9); `None`: the broker alone judges that.
    pub unix_sockets: Option<Vec<AbsPath>>,
    /// The filter.
    pub filter: FilterSpec,
}

/// Makes the script of a plan.
///
/// # Errors
/// A NUL byte in an argument or in a variable.
pub fn compile(plan: &Plan, policy: &Policy, command: &Command, facts: &Facts) -> Result<Script, Faults> {
    let steps: Vec<MountStep> = plan.files.steps.iter().map(mount_step).collect();
    let write_roots = steps.iter().filter_map(|step| match step {
        MountStep::Bind { path, writable: true } => Some(path.clone()),
        _ => None,
    });
    Ok(Script {
        identity: Identity { uid: facts.uid, gid: facts.gid },
        private_tmp: plan.files.private_tmp.clone(),
        make: plan.files.make.clone(),
        confinement: Confinement {
            landlock_abi: plan.layers.landlock_abi,
            landlock_scopes: plan.layers.landlock_scopes,
            own_tree: plan.layers.namespaces,
            write_roots: write_roots.collect(),
            unix_sockets: resolvable_sockets(plan, policy),
            filter: FilterSpec {
                broker: plan.layers.user_notification,
                watch_reads: plan.layers.watch_reads || !plan.layers.namespaces,
                on_host: !plan.layers.namespaces,
                unix_sockets: plan.network.unix_sockets,
                refuse_group_kill: !plan.layers.landlock_scopes,
                refuse_set_id: facts.uid == 0,
            },
        },
        namespaces: plan.layers.namespaces.then(|| namespaces(plan, facts, steps)),
        broker: plan.layers.user_notification.then(|| broker(plan, policy, facts)),
        exec: Exec::new(&plan.environment, command, facts).map_err(|error| Fault::new("run the command", error))?,
        gated: plan.layers.reporter != Reporter::None,
        // Without a network of its own, the command's ports are the host's already.
        publish: if plan.layers.namespaces { policy.network.publish_ports.clone() } else { Vec::new() },
    })
}

fn namespaces(plan: &Plan, facts: &Facts, steps: Vec<MountStep>) -> Namespaces {
    Namespaces {
        mounts: Mounts {
            steps,
            new_api: plan.layers.new_mount_api,
            host_proc_allowed: plan.layers.host_proc_allowed,
            terminal: facts.terminal,
            own_resolver: plan.network.transparent,
        },
        network: Network {
            proxy_port: plan.network.proxy_port,
            transparent: plan.network.transparent,
            inward: if plan.network.publish_ports.is_empty() { 0 } else { INWARD },
            host_listeners: Vec::new(),
        },
    }
}

/// Listed sockets as objects: a pattern, and what is not there yet, by the directory that would hold it. The broker narrows that to the names.
fn resolvable_sockets(plan: &Plan, policy: &Policy) -> Option<Vec<AbsPath>> {
    let listed = |rule: &SocketRule| match &rule.matcher {
        Matcher::Path(path) => Some(path.clone()),
        Matcher::Glob(glob) => Some(glob.literal_base()),
        Matcher::Protected(_) => None,
    };
    let by_kernel = plan.layers.landlock_abi >= RESOLVE_UNIX_ABI && plan.layers.user_notification && !plan.network.unix_sockets;
    by_kernel.then(|| policy.unix_sockets.iter().filter_map(listed).collect())
}

/// The ABI that brought `LANDLOCK_ACCESS_FS_RESOLVE_UNIX` (Linux 7.1).
const RESOLVE_UNIX_ABI: u32 = 9;

fn broker(plan: &Plan, policy: &Policy, facts: &Facts) -> BrokerScript {
    BrokerScript {
        files: policy.files.clone(),
        spec: BrokerSpec {
            refuse_set_id: facts.uid == 0,
            all_unix_sockets: plan.network.unix_sockets,
            unix_sockets: policy.unix_sockets.iter().map(|rule| rule.matcher.clone()).collect(),
            host_ports: plan.network.allow_host_ports.clone(),
            on_host: !plan.layers.namespaces,
        },
    }
}

fn mount_step(step: &crate::plan::FileStep) -> MountStep {
    let path = step.path.clone();
    match &step.action {
        FileAction::ReadOnly => MountStep::Bind { path, writable: false },
        FileAction::Writable | FileAction::Pinned => MountStep::Bind { path, writable: true },
        FileAction::HiddenFile => MountStep::Hide { path, directory: false },
        FileAction::HiddenDirectory => MountStep::Hide { path, directory: true },
        FileAction::Passage(nodes) => MountStep::Passage { path, nodes: nodes.clone() },
    }
}
