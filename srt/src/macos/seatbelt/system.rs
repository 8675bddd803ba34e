//! What every program needs of the system, and what the settings grant of it.

use super::rule::{Effect, Filter, Rule, Source, Writer};
use crate::macos::RunTag;
use crate::plan::SeatbeltPlan;
use crate::policy::{Grant, Located};

/// Processes, services, and facts about the machine: without them, programs of macOS do not start, or crash. Each line was found necessary by users of
/// profiles like this one; what only some programs need is a grant.
const BASICS: &str = r#"
; Processes: any program, and everything among processes of this sandbox
(allow process-exec)
(allow process-fork)
(allow process-info* (target same-sandbox))
(allow signal (target same-sandbox))
(allow mach-priv-task-port (target same-sandbox))

; Preferences, read only
(allow user-preference-read)

; Services that the libraries of every program look up: logging, users and groups, fonts, sounds, power, certificates of the system
(allow mach-lookup
  (global-name "com.apple.audio.systemsoundserver")
  (global-name "com.apple.distributed_notifications@Uv3")
  (global-name "com.apple.FontObjectsServer")
  (global-name "com.apple.fonts")
  (global-name "com.apple.logd")
  (global-name "com.apple.lsd.mapdb")
  (global-name "com.apple.PowerManagement.control")
  (global-name "com.apple.system.logger")
  (global-name "com.apple.system.notification_center")
  (global-name "com.apple.system.opendirectoryd.libinfo")
  (global-name "com.apple.system.opendirectoryd.membership")
  (global-name "com.apple.bsd.dirhelper")
  (global-name "com.apple.securityd.xpc")
  (global-name "com.apple.SecurityServer")
  (global-name "com.apple.coreservices.launchservicesd"))
(allow distributed-notification-post)

; Memory and semaphores shared by name
(allow ipc-posix-shm)
(allow ipc-posix-sem)

; Graphics memory and power state
(allow iokit-open
  (iokit-registry-entry-class "IOSurfaceRootUserClient")
  (iokit-registry-entry-class "RootDomainUserClient")
  (iokit-user-client-class "IOSurfaceSendRight"))
(allow iokit-get-properties)

; Control sockets of the kernel
(allow system-socket (require-all (socket-domain AF_SYSTEM) (socket-protocol 2)))

; Facts about the machine and its processes
(allow sysctl-read
  (sysctl-name "hw.activecpu")
  (sysctl-name "hw.busfrequency_compat")
  (sysctl-name "hw.byteorder")
  (sysctl-name "hw.cacheconfig")
  (sysctl-name "hw.cachelinesize_compat")
  (sysctl-name "hw.cpufamily")
  (sysctl-name "hw.cpufrequency")
  (sysctl-name "hw.cpufrequency_compat")
  (sysctl-name "hw.cputype")
  (sysctl-name "hw.l1dcachesize_compat")
  (sysctl-name "hw.l1icachesize_compat")
  (sysctl-name "hw.l2cachesize_compat")
  (sysctl-name "hw.l3cachesize_compat")
  (sysctl-name "hw.logicalcpu")
  (sysctl-name "hw.logicalcpu_max")
  (sysctl-name "hw.machine")
  (sysctl-name "hw.memsize")
  (sysctl-name "hw.ncpu")
  (sysctl-name "hw.nperflevels")
  (sysctl-name "hw.packages")
  (sysctl-name "hw.pagesize_compat")
  (sysctl-name "hw.pagesize")
  (sysctl-name "hw.physicalcpu")
  (sysctl-name "hw.physicalcpu_max")
  (sysctl-name "hw.tbfrequency_compat")
  (sysctl-name "hw.vectorunit")
  (sysctl-name "kern.argmax")
  (sysctl-name "kern.bootargs")
  (sysctl-name "kern.hostname")
  (sysctl-name "kern.maxfiles")
  (sysctl-name "kern.maxfilesperproc")
  (sysctl-name "kern.maxproc")
  (sysctl-name "kern.ngroups")
  (sysctl-name "kern.osproductversion")
  (sysctl-name "kern.osrelease")
  (sysctl-name "kern.ostype")
  (sysctl-name "kern.osvariant_status")
  (sysctl-name "kern.osversion")
  (sysctl-name "kern.secure_kernel")
  (sysctl-name "kern.tcsm_available")
  (sysctl-name "kern.tcsm_enable")
  (sysctl-name "kern.usrstack64")
  (sysctl-name "kern.version")
  (sysctl-name "kern.willshutdown")
  (sysctl-name "machdep.cpu.brand_string")
  (sysctl-name "machdep.ptrauth_enabled")
  (sysctl-name "security.mac.lockdown_mode_state")
  (sysctl-name "sysctl.proc_cputype")
  (sysctl-name "vm.loadavg")
  (sysctl-name-prefix "hw.optional.arm")
  (sysctl-name-prefix "hw.perflevel")
  (sysctl-name-prefix "kern.proc.all")
  (sysctl-name-prefix "kern.proc.pgrp.")
  (sysctl-name-prefix "kern.proc.pid.")
  (sysctl-name-prefix "machdep.cpu.")
  (sysctl-name-prefix "net.routetable."))
(allow sysctl-write (sysctl-name "kern.tcsm_enable"))

; Devices that keep nothing
(allow file-ioctl
  (literal "/dev/null")
  (literal "/dev/zero")
  (literal "/dev/random")
  (literal "/dev/urandom")
  (literal "/dev/dtracehelper")
  (literal "/dev/tty"))
"#;

/// Tells the processes of this run from all others, to whoever ends them.
pub(super) fn mark(writer: &mut Writer, run: RunTag) {
    writer.lines(&format!("\n; The mark of this run: nobody serves it\n(allow mach-lookup (global-name \"{}\"))\n", run.service()));
}

/// Writes what every profile has.
pub(super) fn basics(writer: &mut Writer) {
    writer.lines(BASICS);
}

/// Writes what the settings grant.
pub(super) fn grants(writer: &mut Writer, plan: &SeatbeltPlan) {
    if plan.grants.iter().any(|grant| grant.value != Grant::LocalBinding) {
        writer.section("Services that the settings grant");
    }
    for grant in &plan.grants {
        for (operations, filters) in rules(&grant.value) {
            writer.rule(&Rule { effect: Effect::Allow, operations, filters, source: source(grant) });
        }
        if grant.value == Grant::AppleEvents {
            writer.lines("(allow appleevent-send)\n(allow lsopen)\n");
        }
        if grant.value == Grant::PseudoTerminals {
            writer.lines("(allow pseudo-tty)\n");
        }
    }
}

fn rules(grant: &Grant) -> Vec<(&'static str, Vec<Filter>)> {
    let name = |name: &str| Filter::Named("global-name", name.to_owned());
    match grant {
        Grant::MachLookup(service) => {
            let filter = match service.strip_suffix('*') {
                Some(prefix) => Filter::Named("global-name-prefix", prefix.to_owned()),
                None => name(service),
            };
            vec![("mach-lookup", vec![filter])]
        }
        Grant::TrustDaemon => vec![("mach-lookup", vec![name("com.apple.trustd.agent")])],
        Grant::AppleEvents => {
            let services = ["coreservices.appleevents", "CoreServices.coreservicesd", "coreservices.quarantine-resolver"];
            vec![("mach-lookup", services.map(|service| name(&format!("com.apple.{service}"))).to_vec())]
        }
        Grant::PseudoTerminals => {
            let terminals = Filter::Regex("^/dev/ttys[0-9]+$".to_owned());
            // The mark of a terminal that was made by the sandbox itself: those of other windows do not bear it.
            let own = Filter::All(vec![terminals.clone(), Filter::Words("(extension \"com.apple.sandbox.pty\")")]);
            let master = Filter::Words("(literal \"/dev/ptmx\")");
            vec![("file-read* file-write*", vec![master.clone(), own]), ("file-ioctl", vec![master, terminals])]
        }
        Grant::LocalBinding => Vec::new(),
    }
}

fn source(grant: &Located<Grant>) -> Source {
    let (id, spelled) = match &grant.value {
        Grant::MachLookup(service) => ("mach.allow", service.as_str()),
        Grant::TrustDaemon => ("mach.trust-daemon", "enableWeakerNetworkIsolation"),
        Grant::AppleEvents => ("mach.apple-events", "allowAppleEvents"),
        Grant::PseudoTerminals => ("tty.make", "allowPty"),
        Grant::LocalBinding => ("net.local-binding", "network.allowLocalBinding"),
    };
    Source::new(id, spelled, &grant.origin)
}
