//! What the command's environment has that the caller's has not.

use std::ffi::OsString;

use serde::Serialize;

use crate::policy::Policy;

/// Changes to the caller's environment; everything else is inherited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Variables that are set, in order.
    #[serde(serialize_with = "pairs")]
    pub set: Vec<(&'static str, OsString)>,
    /// Variables that are removed (`credentials.envVars`).
    pub unset: Vec<String>,
    /// Directories that git is told to trust.
    pub git_safe_directories: Vec<String>,
}

fn pairs<S: serde::Serializer>(pairs: &[(&'static str, OsString)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value.to_string_lossy())))
}

/// Programs read the proxy from the environment; upper and lower case are both in use.
const HTTP_VARIABLES: &[&str] =
    &["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy", "GRPC_PROXY", "grpc_proxy"];

impl Environment {
    /// The same, with a proxy at this address.
    #[must_use]
    pub fn through(&self, url: &str) -> Environment {
        let mut changed = self.clone();
        changed.set.iter_mut().filter(|(name, _)| HTTP_VARIABLES.contains(name)).for_each(|(_, value)| *value = url.into());
        changed
    }
}

pub(super) fn plan(policy: &Policy, port: u16) -> Environment {
    let tmp = policy.private_tmp.as_path().as_os_str();
    let mut set: Vec<(&'static str, OsString)> = vec![
        ("SANDBOX_RUNTIME", "1".into()),
        ("TMPDIR", tmp.into()),
        // tmux puts its socket in /tmp unless told otherwise.
        ("TMUX_TMPDIR", tmp.into()),
        // Node reads the proxy variables only when asked to (Node 22.21, 24).
        ("NODE_USE_ENV_PROXY", "1".into()),
    ];
    let url = OsString::from(format!("http://127.0.0.1:{port}"));
    set.extend(HTTP_VARIABLES.iter().map(|name| (*name, url.clone())));
    // Only the sandbox's own loopback is reached directly.
    set.extend(["NO_PROXY", "no_proxy"].map(|name| (name, OsString::from("localhost,127.0.0.1,::1"))));
    Environment {
        set,
        unset: policy.deny_env.iter().map(|name| name.value.clone()).collect(),
        git_safe_directories: policy.git_safe_directories.iter().map(|directory| directory.value.clone()).collect(),
    }
}
