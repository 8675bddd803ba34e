//! What a run will do, as data that can be printed.
//!
//! Platform-neutral and pure: built from the policy and from what the platform supports, before anything is opened or made. The run uses the same
//! data that `srt explain` prints; nothing is decided later.

mod environment;
mod files;
mod gap;
mod render;
mod seatbelt;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::Serialize;

pub use environment::Environment;
pub use files::{FileAction, FilePlan, FileStep, Node, NodeKind, holds};
pub use gap::{Gap, Gaps};
pub use render::render;
pub use seatbelt::SeatbeltPlan;

use crate::host::Platform;
use crate::policy::{AbsPath, Located, NetPolicy, Policy};

/// What this host can do. "No" and "could not tell" differ: the first is a gap, the second is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", content = "why", rename_all = "lowercase")]
pub enum Answer {
    /// The kernel said yes.
    Yes,
    /// The kernel, or the host's configuration, says no; the text says which and what to do.
    No(Refusal),
    /// It could not be asked.
    Unknown(String),
}

/// Why a layer cannot be had, and what would change that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What was seen.
    pub cause: String,
    /// What the owner of the host can do about it.
    pub remedy: String,
}

/// What the platform supports, layer by layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Support {
    /// User namespaces for this caller, and through them mount, pid, network, ipc, uts and cgroup namespaces.
    pub user_namespaces: Answer,
    /// Landlock ABI; 0 where there is none.
    pub landlock_abi: u32,
    /// Landlock errata that are fixed, as the kernel's bit mask; 0 where it cannot tell.
    pub landlock_errata: u32,
    /// Seccomp filters.
    pub seccomp: Answer,
    /// Seccomp listeners that wait killably (Linux 5.19).
    pub user_notification: Answer,
    /// `open_tree`, `move_mount`, `fsopen`, `mount_setattr` (Linux 5.12); the old calls are used without.
    pub new_mount_api: bool,
    /// Programs in the kernel that see denied calls.
    pub ebpf: Answer,
    /// The socket of the service that has one loaded.
    pub monitor: Option<PathBuf>,
    /// Seatbelt; `None` where it was not asked for, because this is no macOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seatbelt: Option<Answer>,
}

impl Support {
    /// Names that [`Support::without`] takes.
    pub const LAYERS: [&'static str; 7] =
        ["user-namespaces", "seccomp", "user-notification", "landlock", "landlock-scopes", "new-mount-api", "ebpf"];

    /// A system that has none of these layers, because it is no Linux.
    pub fn elsewhere() -> Support {
        let no = || Answer::No(Refusal { cause: "it is a part of Linux".to_owned(), remedy: "Linux".to_owned() });
        Support {
            user_namespaces: no(),
            landlock_abi: 0,
            landlock_errata: 0,
            seccomp: no(),
            user_notification: no(),
            new_mount_api: false,
            ebpf: no(),
            monitor: None,
            seatbelt: None,
        }
    }

    /// The same host without one layer.
    #[must_use]
    pub fn without(mut self, layer: &str) -> Self {
        let missing =
            || Answer::No(Refusal { cause: format!("{layer} was taken away by --without"), remedy: "leave --without out".to_owned() });
        match layer {
            "user-namespaces" => self.user_namespaces = missing(),
            "seccomp" => self.seccomp = missing(),
            "user-notification" => self.user_notification = missing(),
            "landlock" => self.landlock_abi = 0,
            "landlock-scopes" => self.landlock_abi = self.landlock_abi.min(SCOPES_ABI - 1),
            "new-mount-api" => self.new_mount_api = false,
            "ebpf" => (self.ebpf, self.monitor) = (missing(), None),
            _ => {}
        }
        self
    }
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Mounts, in order.
    pub files: FilePlan,
    /// Network.
    pub network: NetworkPlan,
    /// What changes in the environment.
    pub environment: Environment,
    /// Kernel layers.
    pub layers: Layers,
    /// What Seatbelt holds instead of them; `None` on Linux.
    #[serde(skip)]
    pub seatbelt: Option<SeatbeltPlan>,
    /// Gaps that the settings accept, or that need no acceptance, each with what is lost.
    pub gaps: Vec<Gap>,
}

/// The network of a run.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkPlan {
    /// Port of the proxy on the sandbox's own loopback.
    pub proxy_port: u16,
    /// May every UNIX socket be used?
    pub unix_sockets: bool,
    /// Names are answered inside, and connections to any address come to a listener of ours, so that programs need no proxy variables.
    pub transparent: bool,
    /// Ports of the host's loopback that are reached at the same port of the sandbox's loopback.
    pub allow_host_ports: Vec<u16>,
    /// Ports of the sandbox's loopback that are reached at the same port of the host's.
    pub publish_ports: Vec<u16>,
}

/// The kernel layers of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Layers {
    /// Namespaces of its own, and so a file tree, a network and processes of its own. Without (`enableWeakerNestedSandbox` where the host refuses them), Landlock, the
    /// filter and the broker stand alone, on the host's.
    pub namespaces: bool,
    /// Landlock ABI in use; 0: none.
    pub landlock_abi: u32,
    /// Does Landlock keep signals and abstract sockets inside (ABI 6)?
    pub landlock_scopes: bool,
    /// Does the broker judge names?
    pub user_notification: bool,
    /// Does it look at reading too?
    pub watch_reads: bool,
    /// Who reports what the kernel denied.
    pub reporter: Reporter,
    /// New or old mount calls.
    pub new_mount_api: bool,
    /// Where a new procfs is refused, bind the host's (`enableWeakerNestedSandbox`).
    pub host_proc_allowed: bool,
}

/// Who reports what the kernel denied, reading and executing too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reporter {
    /// Nobody: the broker tells of what it sees.
    None,
    /// A kernel program that the supervisor loads.
    Own,
    /// The one of `srt monitor`.
    Service,
}

/// Port of the proxy inside, as in the npm program. It exists in the sandbox's own network namespace only.
pub const PROXY_PORT: u16 = 3128;
/// Port of the transparent listener, on every address inside.
pub const TRANSPARENT_PORT: u16 = 3129;
/// The sandbox's own addresses beside the loopback's, where its network is transparent.
pub const OWN_ADDRESSES: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(198, 19, 255, 254), Ipv6Addr::new(0xfdc7, 0x3e5b, 0x91d4, 0xffff, 0, 0, 0, 1));
/// Port of the name server, on every address inside.
pub const DNS_PORT: u16 = 53;
/// The ABI that brought scopes (Linux 6.12).
const SCOPES_ABI: u32 = 6;

/// Builds the plan.
///
/// # Errors
/// Every layer that is wanted, cannot be had and is not accepted, all at once.
pub fn build(policy: &Policy, support: &Support) -> Result<Plan, Gaps> {
    let gaps = gap::find(policy, support)?;
    let user_notification = support.user_notification == Answer::Yes;
    // Seatbelt needs none.
    let namespaces = policy.platform == Platform::MacOs || gap::has_namespaces(support);
    // The kernel's program knows a sandbox by its pid namespace.
    let reporter = if namespaces { reporter(policy, support) } else { Reporter::None };
    let seatbelt = (policy.platform == Platform::MacOs).then(|| seatbelt::plan(policy));
    Ok(Plan {
        files: if seatbelt.is_some() { files::unmounted(policy) } else { files::plan(policy, user_notification) },
        network: network(&policy.network, namespaces, user_notification),
        environment: environment::plan(policy, PROXY_PORT),
        layers: Layers {
            namespaces,
            landlock_abi: support.landlock_abi,
            landlock_scopes: support.landlock_abi >= SCOPES_ABI,
            user_notification,
            // The kernel tells of denied reads where it can; the broker would have to be asked for every open.
            watch_reads: user_notification && policy.report_reads && reporter == Reporter::None,
            reporter,
            new_mount_api: support.new_mount_api,
            host_proc_allowed: policy.weaker_nested,
        },
        seatbelt,
        gaps,
    })
}

/// A service costs a run next to nothing. Loading the program costs a start, so it is done for those who ask for what nobody else sees.
fn reporter(policy: &Policy, support: &Support) -> Reporter {
    match () {
        () if support.monitor.is_some() => Reporter::Service,
        () if policy.report_reads && support.ebpf == Answer::Yes => Reporter::Own,
        () => Reporter::None,
    }
}

/// Connections are redirected by the system-call broker; without it there is nothing that a transparent network could rest on.
///
/// Without a network of its own, names are not answered, and a port of the sandbox's loopback is one of the host's: there is nothing to publish.
fn network(policy: &NetPolicy, namespaces: bool, broker: bool) -> NetworkPlan {
    let numbers = |ports: &[Located<u16>]| ports.iter().map(|port| port.value).collect();
    NetworkPlan {
        proxy_port: PROXY_PORT,
        unix_sockets: policy.allow_all_unix_sockets,
        transparent: namespaces && broker,
        allow_host_ports: numbers(&policy.allow_host_ports),
        publish_ports: if namespaces { numbers(&policy.publish_ports) } else { Vec::new() },
    }
}

/// Paths in JSON are text; bytes that are not UTF-8 are replaced.
fn path_text<S: serde::Serializer>(path: &AbsPath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}
