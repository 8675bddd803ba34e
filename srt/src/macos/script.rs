//! A run as what macOS is given: a profile and a program.
//!
//! Pure. Port, token and tag of a run are drawn when it is armed; [`Script::render`] writes everything that holds them.

use std::ffi::CString;

use super::RunTag;
use super::seatbelt::{self, Instance};
use crate::host::Facts;
use crate::plan::{PROXY_PORT, Plan};
use crate::policy::Policy;
use crate::proxy::Token;
use crate::unix::{Command, Exec};
use crate::{Fault, Faults};

/// One run, ready to be armed.
#[derive(Debug)]
pub struct Script {
    pub(super) plan: Plan,
    pub(super) facts: Facts,
    command: Command,
    /// The user's own proxy takes all requests; it knows nothing of tokens.
    own_proxy: bool,
}

/// The texts of one run.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) profile: CString,
    pub(super) exec: Exec,
}

/// Makes the script of a plan.
///
/// # Errors
/// What the profile's language cannot say; a NUL byte in an argument or in a variable.
pub fn compile(plan: &Plan, policy: &Policy, command: &Command, facts: &Facts) -> Result<Script, Faults> {
    let own_proxy = policy.network.http_proxy_port.is_some();
    let script = Script { plan: plan.clone(), facts: facts.clone(), command: command.clone(), own_proxy };
    // Whatever cannot be written is found before anything is made.
    script.render(&Instance { run: RunTag::of(0), proxy_port: PROXY_PORT }, None)?;
    Ok(script)
}

impl Script {
    /// Writes the texts of a run.
    pub(super) fn render(&self, instance: &Instance, token: Option<&Token>) -> Result<Rendered, Faults> {
        let profile = seatbelt::compile(&self.plan, instance)?;
        let port = instance.proxy_port;
        let url = token.filter(|_| !self.own_proxy).map_or_else(|| format!("http://127.0.0.1:{port}"), |token| token.url(port));
        let changes = self.plan.environment.through(&url);
        let fault = |cause: &dyn std::fmt::Display| Fault::new("run the command", cause);
        Ok(Rendered {
            profile: CString::new(profile).map_err(|_| fault(&"the profile holds a NUL byte"))?,
            exec: Exec::new(&changes, &self.command, &self.facts).map_err(|error| fault(&error))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Platform;
    use crate::plan::Support;
    use crate::policy::AbsPath;
    use crate::policy::testing::Table;

    fn script(settings: &str) -> Script {
        let facts = Facts {
            uid: 501,
            gid: 20,
            home: AbsPath::new("/Users/ada"),
            cwd: AbsPath::new("/Users/ada/work").unwrap(),
            env: [("PATH".into(), "/bin".into()), ("http_proxy".into(), "http://elsewhere:1".into())].into(),
            private_tmp: AbsPath::new("/private/var/folders/x/srt-501/1").unwrap(),
            terminal: false,
            platform: Platform::MacOs,
            namespaces: true,
        };
        let settings = crate::settings::parse_text("s.json", settings).unwrap();
        let policy = crate::policy::resolve(&settings, &facts, &Table::new(&["/Users/ada/work/"])).unwrap();
        let plan = crate::plan::build(&policy, &Support::elsewhere()).unwrap();
        let command = Command { argv: vec!["ls".into(), "-l".into()], pass_fds: Vec::new(), ignore_sigpipe: false };
        compile(&plan, &policy, &command, &facts).unwrap()
    }

    fn variable(rendered: &Rendered, name: &str) -> Option<String> {
        let texts = rendered.exec.environment.iter().map(|variable| variable.to_str().unwrap());
        texts.filter_map(|text| text.split_once('=')).find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
    }

    #[test]
    fn port_and_token_of_a_run_are_in_its_environment_and_the_port_alone_in_its_profile() {
        let token = Token::random().unwrap();
        let rendered = script("{}").render(&Instance { run: RunTag::of(7), proxy_port: 50123 }, Some(&token)).unwrap();
        for name in ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"] {
            assert_eq!(variable(&rendered, name), Some(token.url(50123)), "{name}");
        }
        assert_eq!(variable(&rendered, "TMPDIR").as_deref(), Some("/private/var/folders/x/srt-501/1"));
        let profile = rendered.profile.to_str().unwrap();
        assert!(profile.contains("(remote ip \"localhost:50123\")") && !profile.contains(&format!("localhost:{PROXY_PORT}")));
        assert!(profile.contains("srt:0000000000000007:") && profile.contains("(global-name \"srt.run.0000000000000007\")"));
        let secret = token.url(1).split(['@', ':']).nth(2).unwrap().to_owned();
        assert!(!profile.contains(&secret));
        assert_eq!(rendered.exec.candidates, [c"/bin/ls".to_owned()]);
    }

    #[test]
    fn the_users_own_proxy_is_told_no_token() {
        let script = script(r#"{"network": {"httpProxyPort": 8080}}"#);
        let rendered = script.render(&Instance { run: RunTag::of(7), proxy_port: 50123 }, Some(&Token::random().unwrap())).unwrap();
        assert_eq!(variable(&rendered, "HTTP_PROXY").as_deref(), Some("http://127.0.0.1:50123"));
    }
}
