//! The section on the network.
//!
//! macOS has no network of the command's own. Every host is reached through the proxy of the run, which asks the policy; the profile lets nothing else out. Names are
//! resolved by the proxy, so the resolver is closed as well, and carries nothing out.

use super::Instance;
use super::pattern::{self, Fit};
use super::rule::{Effect, Filter, Rule, Source, Writer};
use super::spelling;
use crate::plan::{NetworkPlan, SeatbeltPlan};
use crate::policy::{AbsPath, Grant, Matcher, Origin};

/// Writes the section.
pub(super) fn section(writer: &mut Writer, network: &NetworkPlan, plan: &SeatbeltPlan, private_tmp: &AbsPath, instance: &Instance) {
    writer.section("Network");
    let built_in = |id: &str, what: &'static str| Source::new(id, "", &Origin::BuiltIn(what));
    let proxy = built_in("net.proxy", "rule: the proxy of this run decides on hosts");
    allow(writer, "network-outbound", vec![remote(instance.proxy_port)], &proxy);
    let to_host = network.allow_host_ports.iter().map(|port| remote(*port)).collect();
    allow(writer, "network-outbound", to_host, &built_in("net.host-ports", "rule: network.allowHostPorts"));
    let from_host: Vec<Filter> = network.publish_ports.iter().map(|port| Filter::Named("local ip", format!("localhost:{port}"))).collect();
    allow(writer, "network-bind network-inbound", from_host, &built_in("net.publish-ports", "rule: network.publishPorts"));
    for grant in plan.grants.iter().filter(|grant| grant.value == Grant::LocalBinding) {
        let source = Source::new("net.local-binding", "network.allowLocalBinding", &grant.origin);
        // A socket for both families is bound to ::ffff:127.0.0.1, which `localhost` does not match.
        allow(writer, "network-bind network-inbound", vec![Filter::Words("(local ip \"*:*\")")], &source);
        // The peer's address: by their own, all connections of a socket that was not bound would be allowed.
        allow(writer, "network-outbound", vec![Filter::Words("(remote ip \"localhost:*\")")], &source);
    }
    sockets(writer, network, plan, private_tmp);
}

fn remote(port: u16) -> Filter {
    Filter::Named("remote ip", format!("localhost:{port}"))
}

fn allow(writer: &mut Writer, operations: &'static str, filters: Vec<Filter>, source: &Source) {
    writer.rule(&Rule { effect: Effect::Allow, operations, filters, source: source.clone() });
}

/// UNIX sockets: listed ones, and the command's own in the private directory, where no other program has any.
fn sockets(writer: &mut Writer, network: &NetworkPlan, plan: &SeatbeltPlan, private_tmp: &AbsPath) {
    writer.lines("(allow system-socket (socket-domain AF_UNIX))\n");
    if network.unix_sockets {
        let source = Source::new("unix.all", "network.allowAllUnixSockets", &Origin::BuiltIn("rule: all UNIX sockets"));
        return socket(writer, vec![Filter::Regex("^/".to_owned())], &source);
    }
    let own = Source::new("unix.own", "", &Origin::BuiltIn("rule: private TMPDIR"));
    socket(writer, spelling::all(private_tmp).map(Filter::Subpath).collect(), &own);
    for (place, rule) in plan.sockets.iter().enumerate() {
        let source = Source::new(&format!("unix.allow.{place}"), "network.allowUnixSockets", &rule.origin);
        let filters = match &rule.matcher {
            Matcher::Path(path) => spelling::all(path).map(Filter::Subpath).collect(),
            Matcher::Glob(glob) => pattern::bodies(glob, Fit::Narrow).iter().map(|body| Filter::Regex(pattern::covering(body))).collect(),
            Matcher::Protected(_) => Vec::new(),
        };
        socket(writer, filters, &source);
    }
}

fn socket(writer: &mut Writer, paths: Vec<Filter>, source: &Source) {
    let remote = paths.iter().map(|path| Filter::RemoteSocket(Box::new(path.clone()))).collect();
    let local = paths.into_iter().map(|path| Filter::LocalSocket(Box::new(path))).collect();
    allow(writer, "network-outbound", remote, source);
    allow(writer, "network-bind", local, source);
}
