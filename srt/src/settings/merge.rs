//! Layers to settings.

use super::load::Layers;
use super::model::{CredentialSettings, FilesystemSettings, MacOsSettings, NetworkSettings, Settings};

/// Puts the layers together: lists are concatenated in the order of the layers; of values that stand alone, objects such as
/// `parentProxy` included, the last layer that says one wins.
pub fn merge(layers: Layers) -> Settings {
    layers.0.into_iter().fold(Settings::default(), over)
}

fn over(below: Settings, above: Settings) -> Settings {
    Settings {
        network: network(below.network, above.network),
        filesystem: filesystem(below.filesystem, above.filesystem),
        credentials: credentials(below.credentials, above.credentials),
        ignore_violations: joined(below.ignore_violations, above.ignore_violations),
        report_reads: above.report_reads.or(below.report_reads),
        enable_weaker_nested_sandbox: above.enable_weaker_nested_sandbox.or(below.enable_weaker_nested_sandbox),
        macos: macos(below.macos, above.macos),
        accept_gaps: joined(below.accept_gaps, above.accept_gaps),
        unprotect: joined(below.unprotect, above.unprotect),
        mandatory_deny_search_depth: above.mandatory_deny_search_depth.or(below.mandatory_deny_search_depth),
        git_safe_directories: joined(below.git_safe_directories, above.git_safe_directories),
        profiles: joined(below.profiles, above.profiles),
        read_from: joined(below.read_from, above.read_from),
        remarks: joined(below.remarks, above.remarks),
        macos_remarks: joined(below.macos_remarks, above.macos_remarks),
    }
}

fn network(below: NetworkSettings, above: NetworkSettings) -> NetworkSettings {
    let mut denied_domain_reasons = below.denied_domain_reasons;
    denied_domain_reasons.extend(above.denied_domain_reasons);
    NetworkSettings {
        allowed_domains: joined(below.allowed_domains, above.allowed_domains),
        denied_domains: joined(below.denied_domains, above.denied_domains),
        denied_domain_reasons,
        strict_allowlist: above.strict_allowlist.or(below.strict_allowlist),
        denied_resolved_addresses: joined(below.denied_resolved_addresses, above.denied_resolved_addresses),
        allow_unix_sockets: joined(below.allow_unix_sockets, above.allow_unix_sockets),
        allow_all_unix_sockets: above.allow_all_unix_sockets.or(below.allow_all_unix_sockets),
        http_proxy_port: above.http_proxy_port.or(below.http_proxy_port),
        socks_proxy_port: above.socks_proxy_port.or(below.socks_proxy_port),
        parent_proxy: above.parent_proxy.or(below.parent_proxy),
        mitm_proxy: above.mitm_proxy.or(below.mitm_proxy),
        strip_response_headers: joined(below.strip_response_headers, above.strip_response_headers),
        allow_host_ports: joined(below.allow_host_ports, above.allow_host_ports),
        publish_ports: joined(below.publish_ports, above.publish_ports),
    }
}

fn macos(below: MacOsSettings, above: MacOsSettings) -> MacOsSettings {
    MacOsSettings {
        allow_mach_lookup: joined(below.allow_mach_lookup, above.allow_mach_lookup),
        allow_local_binding: above.allow_local_binding.or(below.allow_local_binding),
        enable_weaker_network_isolation: above.enable_weaker_network_isolation.or(below.enable_weaker_network_isolation),
        allow_apple_events: above.allow_apple_events.or(below.allow_apple_events),
        allow_pty: above.allow_pty.or(below.allow_pty),
    }
}

fn filesystem(below: FilesystemSettings, above: FilesystemSettings) -> FilesystemSettings {
    FilesystemSettings {
        disabled: above.disabled.or(below.disabled),
        deny_read: joined(below.deny_read, above.deny_read),
        allow_read: joined(below.allow_read, above.allow_read),
        allow_write: joined(below.allow_write, above.allow_write),
        deny_write: joined(below.deny_write, above.deny_write),
        allow_git_config: above.allow_git_config.or(below.allow_git_config),
    }
}

fn credentials(below: CredentialSettings, above: CredentialSettings) -> CredentialSettings {
    CredentialSettings { deny_files: joined(below.deny_files, above.deny_files), deny_env: joined(below.deny_env, above.deny_env) }
}

fn joined<T>(mut below: Vec<T>, above: Vec<T>) -> Vec<T> {
    below.extend(above);
    below
}
