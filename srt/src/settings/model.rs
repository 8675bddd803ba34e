//! What settings say, after all layers are merged: typed, but not yet checked against this host.
//!
//! The names follow the keys of the npm `sandbox-runtime`, so that its files can be read unchanged. Nothing here is resolved: paths
//! are as written, domain entries are text. [`crate::policy::resolve`] turns them into rules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::policy::Located;

/// One entry of a path list: a string, or `{ "path": …, "literal": true }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathEntry {
    /// As written: may start with `~`, be relative to the working directory, and hold glob characters.
    pub text: String,
    /// No character is special: the entry names one path.
    pub literal: bool,
}

/// Settings of one run. Lists keep the order of the layers: built-in, profiles, file, options.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Hosts, ports and sockets.
    pub network: NetworkSettings,
    /// Paths.
    pub filesystem: FilesystemSettings,
    /// Environment variables and files that hold secrets; only the mode `deny` can be served.
    pub credentials: CredentialSettings,
    /// Command substring (or `*`) → substrings of violation lines that are not reported.
    pub ignore_violations: Vec<Located<(String, Vec<String>)>>,
    /// `violations.reads`: report denied reads.
    pub report_reads: Option<Located<bool>>,
    /// Run with what a container leaves of the layers; see DESIGN section 9.
    pub enable_weaker_nested_sandbox: Option<Located<bool>>,
    /// What only macOS asks for.
    pub macos: MacOsSettings,
    /// Names of gaps that are accepted.
    pub accept_gaps: Vec<Located<String>>,
    /// Names of protected-path rows that are lifted.
    pub unprotect: Vec<Located<String>>,
    /// How deep below a write root existing protected names are looked for at start (1 to 10).
    pub mandatory_deny_search_depth: Option<Located<u8>>,
    /// `git.safeDirectories`: handed to git through `GIT_CONFIG_COUNT`.
    pub git_safe_directories: Vec<Located<String>>,
    /// Presets that the file (and, in turn, presets) named; they are layers of their own already.
    pub profiles: Vec<Located<String>>,
    /// The settings files that were read, as they were opened; relative ones are relative to the working directory of the process.
    pub read_from: Vec<PathBuf>,
    /// Keys that were understood and have no effect on this platform or in this program, each with the sentence that says why.
    /// Shown under `--debug`.
    pub remarks: Vec<Located<String>>,
    /// The same for keys that have an effect on macOS and nowhere else.
    pub macos_remarks: Vec<Located<String>>,
}

/// Keys of the top level and of `network` that have an effect on macOS and nowhere else.
#[derive(Clone, Debug, Default)]
pub struct MacOsSettings {
    /// `network.allowMachLookup`.
    pub allow_mach_lookup: Vec<Located<String>>,
    /// `network.allowLocalBinding`.
    pub allow_local_binding: Option<Located<bool>>,
    /// `enableWeakerNetworkIsolation`.
    pub enable_weaker_network_isolation: Option<Located<bool>>,
    /// `allowAppleEvents`.
    pub allow_apple_events: Option<Located<bool>>,
    /// `allowPty`.
    pub allow_pty: Option<Located<bool>>,
}

/// The `network` table.
#[derive(Clone, Debug, Default)]
pub struct NetworkSettings {
    /// `allowedDomains`.
    pub allowed_domains: Vec<Located<String>>,
    /// `deniedDomains`.
    pub denied_domains: Vec<Located<String>>,
    /// `deniedDomainReasons`, keyed by the exact spelling of the `deniedDomains` entry.
    pub denied_domain_reasons: BTreeMap<String, Located<String>>,
    /// `strictAllowlist`: nobody is asked about a host that no entry covers.
    pub strict_allowlist: Option<Located<bool>>,
    /// `deniedResolvedAddresses`: addresses or CIDR blocks.
    pub denied_resolved_addresses: Vec<Located<String>>,
    /// `allowUnixSockets`.
    pub allow_unix_sockets: Vec<Located<PathEntry>>,
    /// `allowAllUnixSockets`.
    pub allow_all_unix_sockets: Option<Located<bool>>,
    /// `httpProxyPort`: a proxy of the user's own on the host's loopback.
    pub http_proxy_port: Option<Located<u16>>,
    /// `socksProxyPort`, likewise.
    pub socks_proxy_port: Option<Located<u16>>,
    /// `parentProxy`.
    pub parent_proxy: Option<Located<ParentProxySettings>>,
    /// `mitmProxy`: an HTTP proxy on a UNIX socket for some domains.
    pub mitm_proxy: Option<Located<MitmProxySettings>>,
    /// `stripResponseHeaders`: names dropped from answers to plain HTTP requests.
    pub strip_response_headers: Vec<Located<String>>,
    /// `allowHostPorts`: ports of the host's loopback that the sandbox reaches.
    pub allow_host_ports: Vec<Located<u16>>,
    /// `publishPorts`: ports of the sandbox's loopback that the host's shows.
    pub publish_ports: Vec<Located<u16>>,
}

/// `network.parentProxy`: where srt's own proxy sends what it allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentProxySettings {
    /// URL for plain HTTP: `http://[user:password@]host:port`, `https` not supported, `socks5`/`socks5h` allowed.
    pub http: Option<String>,
    /// URL for tunnels.
    pub https: Option<String>,
    /// `noProxy`: comma-separated suffixes, CIDR blocks, `*`.
    pub no_proxy: Option<String>,
}

/// `network.mitmProxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MitmProxySettings {
    /// A UNIX socket of the host on which an HTTP proxy listens.
    pub socket_path: String,
    /// Which domains go there, after they were allowed.
    pub domains: Vec<Located<String>>,
}

/// The `filesystem` table.
#[derive(Clone, Debug, Default)]
pub struct FilesystemSettings {
    /// `disabled`: no rules on files at all, protected names included.
    pub disabled: Option<Located<bool>>,
    /// `denyRead`.
    pub deny_read: Vec<Located<PathEntry>>,
    /// `allowRead`: re-opens inside `denyRead`.
    pub allow_read: Vec<Located<PathEntry>>,
    /// `allowWrite`.
    pub allow_write: Vec<Located<PathEntry>>,
    /// `denyWrite`: holes in `allowWrite`.
    pub deny_write: Vec<Located<PathEntry>>,
    /// `allowGitConfig`: lifts the protection of `.git/config` only.
    pub allow_git_config: Option<Located<bool>>,
}

/// The `credentials` table, as far as it can be served: `mask` is refused by the reader.
#[derive(Clone, Debug, Default)]
pub struct CredentialSettings {
    /// `files[]` with `mode: "deny"`: read denials without exceptions.
    pub deny_files: Vec<Located<String>>,
    /// `envVars[]` with `mode: "deny"`: variables that the command does not get.
    pub deny_env: Vec<Located<String>>,
}
