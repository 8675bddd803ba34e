//! What was typed: validated and recorded, never acted on.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::Shell;

use super::violations::Listing;
use crate::host::Platform;
use crate::plan::Support;
use crate::settings::FlagSettings;

/// Options that every subcommand takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--settings`, `--config`.
    pub settings: Option<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// `--debug`.
    pub debug: bool,
    /// `--cwd`.
    pub cwd: Option<PathBuf>,
    /// Single rules.
    pub flags: FlagSettings,
    /// `--violations`.
    pub violations: Violations,
    /// `--violations-file`.
    pub violations_file: Option<PathBuf>,
    /// `--status-fd`.
    pub status_fd: Option<RawFd>,
    /// `--control-fd`.
    pub control_fd: Option<RawFd>,
    /// `--ask`.
    pub ask: bool,
    /// `--without`: layers that are to be taken as missing. For tests.
    pub without: Vec<String>,
    /// `--pass-fd`.
    pub pass_fds: Vec<RawFd>,
}

/// How denials are shown on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Violations {
    /// A list at the end, where there was any.
    #[default]
    Summary,
    /// Each as it happens, and the list at the end.
    Live,
    /// JSON lines at the end.
    Json,
    /// Nothing.
    Off,
}

/// What `srt monitor` was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonitorOptions {
    /// `--json`.
    pub json: bool,
    /// `--otlp`.
    pub otlp: Option<String>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run a command.
    Run(Typed),
    /// Print the plan.
    Explain {
        /// As JSON.
        json: bool,
        /// Of another system than this one.
        platform: Option<Platform>,
    },
    /// Ask the policy one question.
    Check {
        /// `read`, `write` or `connect`.
        access: String,
        /// A path, or `host:port`.
        target: OsString,
    },
    /// Print what this host can do.
    Doctor {
        /// As JSON.
        json: bool,
    },
    /// List the presets, or print one.
    Profiles {
        /// Which.
        name: Option<String>,
    },
    /// Show what the last runs were denied.
    Violations(Listing),
    /// Show the running sandboxes.
    Top {
        /// As one table.
        once: bool,
    },
    /// Serve denials of the kernel to the runs of this host.
    Monitor(MonitorOptions),
    /// Print a completion script.
    Completions {
        /// For this shell.
        shell: Shell,
    },
}

/// The command as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A program and its arguments.
    Words(Vec<OsString>),
    /// Text for a shell.
    Shell(OsString),
}

/// Help, version, or a mistake: clap's own text, and the status to end with.
#[derive(Debug)]
pub struct Stop {
    /// What to print.
    pub text: String,
    /// On stdout, because it was asked for.
    pub asked_for: bool,
}

impl Stop {
    fn mistake(text: &str) -> Self {
        Stop { text: format!("srt: {text}\n"), asked_for: false }
    }
}

/// Reads the command line.
///
/// # Errors
/// Help and version too: see `Stop`.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Options, Action), Stop> {
    let matches = command().try_get_matches_from(arguments).map_err(|error| Stop {
        // clap writes `error: …`; messages of srt start with its name.
        text: error.render().to_string().replacen("error: ", "srt: ", 1),
        asked_for: !error.use_stderr(),
    })?;
    let (name, inner) = match matches.subcommand() {
        Some((name, inner)) => (Some(name), Some(inner)),
        None => (None, None),
    };
    let mut options = options(&matches)?;
    // What is no subcommand is the command, and so is every word after `--`: clap gives it its values under no name.
    let is_command = inner.is_some_and(|inner| inner.try_contains_id("").unwrap_or(false));
    let known = name.is_some_and(|name| SUBCOMMANDS.contains(&name)) && !is_command;
    if let (Some(inner), true) = (inner, known) {
        options = join(options, self::options(inner)?);
    }
    if let (Some(name), Some(inner), true) = (name, inner, is_command) {
        let text = matches.get_one::<OsString>("shell-text").cloned();
        return Ok((options, Action::Run(typed(text, words(name, inner))?)));
    }
    Ok((options, action(&matches, name, inner)?))
}

const SUBCOMMANDS: &[&str] = &["run", "explain", "check", "doctor", "profiles", "completions", "violations", "top", "monitor"];

fn action(matches: &ArgMatches, name: Option<&str>, inner: Option<&ArgMatches>) -> Result<Action, Stop> {
    let outer_text = matches.get_one::<OsString>("shell-text").cloned();
    let Some((name, inner)) = name.zip(inner) else {
        return Ok(Action::Run(typed(outer_text, Vec::new())?));
    };
    let json = |inner: &ArgMatches| inner.get_flag("json");
    Ok(match name {
        "run" => {
            let text = inner.get_one::<OsString>("shell-text").cloned().or(outer_text);
            Action::Run(typed(text, inner.subcommand().map(|(first, rest)| words(first, rest)).unwrap_or_default())?)
        }
        "explain" => Action::Explain { json: json(inner), platform: platform(inner) },
        "doctor" => Action::Doctor { json: json(inner) },
        "check" => Action::Check {
            access: inner.get_one::<String>("access").cloned().unwrap_or_default(),
            target: inner.get_one::<OsString>("target").cloned().unwrap_or_default(),
        },
        "profiles" => Action::Profiles { name: inner.get_one::<String>("name").cloned() },
        "completions" => match inner.get_one::<Shell>("for") {
            Some(shell) => Action::Completions { shell: *shell },
            None => return Err(Stop::mistake("cannot print completions: no shell was named")),
        },
        "violations" => Action::Violations(listing(inner)),
        "top" => Action::Top { once: inner.get_flag("once") },
        "monitor" => Action::Monitor(MonitorOptions {
            json: json(inner),
            otlp: inner.get_one::<String>("otlp").cloned(),
            socket: inner.get_one::<PathBuf>("socket").cloned(),
        }),
        unknown => return Err(Stop::mistake(&format!("cannot do {unknown}: this version has no such subcommand"))),
    })
}

fn platform(inner: &ArgMatches) -> Option<Platform> {
    inner.get_one::<String>("platform").map(|name| if name == "macos" { Platform::MacOs } else { Platform::Linux })
}

fn listing(inner: &ArgMatches) -> Listing {
    Listing {
        last: inner.get_one::<u64>("last").map(|last| usize::try_from(*last).unwrap_or(usize::MAX)),
        run: inner.get_one::<String>("run").cloned(),
        json: inner.get_flag("json"),
        suggest: inner.get_flag("suggest"),
        clear: inner.get_flag("clear"),
    }
}

/// The first word that is neither an option nor a subcommand, and everything after it.
fn words(first: &str, rest: &ArgMatches) -> Vec<OsString> {
    let mut words = vec![OsString::from(first)];
    words.extend(rest.get_many::<OsString>("").unwrap_or_default().cloned());
    words
}

/// `-c TEXT` wins; a single word with white space in it is shell text; anything else is a program and its arguments.
fn typed(text: Option<OsString>, words: Vec<OsString>) -> Result<Typed, Stop> {
    let blank = |text: &OsStr| text.to_str().is_some_and(|text| text.trim().is_empty());
    match (text, words.as_slice()) {
        (Some(text), _) if blank(&text) => Err(Stop::mistake("cannot run the command: the text after -c is empty\nhint: srt --help")),
        (Some(text), []) => Ok(Typed::Shell(text)),
        (Some(_), _) => Err(Stop::mistake("cannot run the command: both -c and a command were given\nhint: srt --help")),
        (None, []) => {
            Err(Stop::mistake("cannot run the command: none was given\nhint: srt run -- COMMAND, or srt -c 'shell text'; srt --help"))
        }
        (None, [only]) if blank(only) => Err(Stop::mistake("cannot run the command: its name is empty")),
        (None, [only]) if only.to_string_lossy().contains(char::is_whitespace) => Ok(Typed::Shell(only.clone())),
        (None, words) => Ok(Typed::Words(words.to_vec())),
    }
}

/// Options may stand before the subcommand and after it: lists are joined, the later single value wins.
fn join(outer: Options, inner: Options) -> Options {
    let chain = |mut one: Vec<String>, mut other: Vec<String>| {
        one.append(&mut other);
        one
    };
    let (a, b) = (outer.flags, inner.flags);
    Options {
        settings: inner.settings.or(outer.settings),
        profiles: chain(outer.profiles, inner.profiles),
        debug: outer.debug || inner.debug,
        cwd: inner.cwd.or(outer.cwd),
        flags: FlagSettings {
            allow_read: chain(a.allow_read, b.allow_read),
            deny_read: chain(a.deny_read, b.deny_read),
            allow_write: chain(a.allow_write, b.allow_write),
            deny_write: chain(a.deny_write, b.deny_write),
            allow_domain: chain(a.allow_domain, b.allow_domain),
            deny_domain: chain(a.deny_domain, b.deny_domain),
            accept_gap: chain(a.accept_gap, b.accept_gap),
        },
        violations: if inner.violations == Violations::Summary { outer.violations } else { inner.violations },
        violations_file: inner.violations_file.or(outer.violations_file),
        status_fd: inner.status_fd.or(outer.status_fd),
        control_fd: inner.control_fd.or(outer.control_fd),
        ask: outer.ask || inner.ask,
        without: chain(outer.without, inner.without),
        pass_fds: [outer.pass_fds, inner.pass_fds].concat(),
    }
}

fn options(matches: &ArgMatches) -> Result<Options, Stop> {
    let texts = |name: &str| matches.get_many::<String>(name).unwrap_or_default().cloned().collect::<Vec<_>>();
    Ok(Options {
        settings: matches.get_one::<PathBuf>("settings").cloned(),
        profiles: texts("profile"),
        debug: matches.get_flag("debug"),
        cwd: matches.get_one::<PathBuf>("cwd").cloned(),
        flags: FlagSettings {
            allow_read: texts("allow-read"),
            deny_read: texts("deny-read"),
            allow_write: texts("allow-write"),
            deny_write: texts("deny-write"),
            allow_domain: texts("allow-domain"),
            deny_domain: texts("deny-domain"),
            accept_gap: texts("accept-gap"),
        },
        violations: match matches.get_one::<String>("violations").map(String::as_str) {
            Some("live") => Violations::Live,
            Some("json") => Violations::Json,
            Some("off") => Violations::Off,
            _ => Violations::Summary,
        },
        violations_file: matches.get_one::<PathBuf>("violations-file").cloned(),
        status_fd: matches.get_one::<i32>("status-fd").copied(),
        control_fd: matches.get_one::<i32>("control-fd").copied(),
        ask: matches.get_flag("ask"),
        without: texts("without"),
        pass_fds: matches.get_many::<i32>("pass-fd").unwrap_or_default().copied().collect(),
    })
}

/// The grammar.
pub(super) fn command() -> Command {
    let top = Command::new("srt")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs any command in a sandbox made from kernel primitives")
        .override_usage("srt [options] <command> [args…]\n       srt [options] -c '<shell text>'\n       srt run [options] [--] <command> [args…]\n       srt explain | check | doctor | violations | top | monitor | profiles | completions")
        .after_help("Everything after the first word of the command belongs to the command.\nExit status: the command's own; 128+n for a signal; 127 not found; 126 not executable; 125 srt failed and nothing was run.")
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(OsStringValueParser::new())
        .disable_help_subcommand(true)
        .args(shared_options(true));
    // Deferred: only the subcommand that was typed is built.
    let run = Command::new("run")
        .about("Run a command")
        .override_usage("srt run [options] [--] <command> [args…]")
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(OsStringValueParser::new())
        .disable_help_subcommand(true)
        .defer(|run| run.args(shared_options(true)));
    let explain = Command::new("explain").about("Print what a run would do").defer(|explain| {
        let platform = Arg::new("platform").long("platform").value_name("NAME").value_parser(PossibleValuesParser::new(["linux", "macos"]));
        explain.args(shared_options(false)).arg(json()).arg(platform.help("As on linux or macos, whatever this host is"))
    });
    let check = Command::new("check").about("Ask the policy: exit status 0 allowed, 1 denied").defer(|check| {
        let access =
            Arg::new("access").value_name("ACCESS").required(true).value_parser(PossibleValuesParser::new(["read", "write", "connect"]));
        let target = Arg::new("target").value_name("TARGET").required(true).value_parser(OsStringValueParser::new());
        check.args(shared_options(false)).arg(access).arg(target.help("A path, or HOST:PORT"))
    });
    let doctor = Command::new("doctor")
        .about("Print what this host can do, layer by layer")
        .defer(|doctor| doctor.args(shared_options(false)).arg(json()));
    let profiles = Command::new("profiles")
        .about("List the presets, or print one")
        .defer(|profiles| profiles.args(shared_options(false)).arg(Arg::new("name").value_name("NAME")));
    let completions = Command::new("completions").about("Print a completion script").defer(|completions| {
        let shell = Arg::new("for").value_name("SHELL").required(true).value_parser(clap::value_parser!(Shell));
        completions.args(shared_options(false)).arg(shell)
    });
    let violations = Command::new("violations").about("Show what the last runs were denied").defer(|violations| {
        let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help).action(ArgAction::SetTrue);
        violations.args(shared_options(false)).args([
            Arg::new("last")
                .long("last")
                .value_name("N")
                .value_parser(clap::value_parser!(u64).range(1..))
                .help("The last N runs [default: 10]"),
            Arg::new("run").long("run").value_name("ID").help("One run, by its name").conflicts_with("last"),
            json(),
            flag("suggest", "Print the smallest change of settings that would have allowed it").conflicts_with("json"),
            flag("clear", "Forget all runs").conflicts_with_all(["last", "run", "json", "suggest"]),
        ])
    });
    let live = Command::new("top").about("Show the running sandboxes, live").defer(|live| {
        let once = Arg::new("once").long("once").help("Print one table and end").action(ArgAction::SetTrue);
        live.args(shared_options(false)).arg(once)
    });
    let monitor = Command::new("monitor").about("Serve the kernel's reports to the runs of this host").defer(|monitor| {
        monitor.args(shared_options(false)).args([
            Arg::new("json").long("json").help("Print the stream of this host as JSON lines").action(ArgAction::SetTrue),
            Arg::new("otlp").long("otlp").value_name("ENDPOINT").help("Export denials as OpenTelemetry logs over HTTP"),
            Arg::new("socket")
                .long("socket")
                .value_name("PATH")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Where to listen [default: /run/srt/monitor.sock]"),
        ])
    });
    top.subcommands([run, explain, check, doctor, profiles, completions, violations, live, monitor])
}

fn json() -> Arg {
    Arg::new("json").long("json").help("As JSON").action(ArgAction::SetTrue)
}

fn shared_options(with_command: bool) -> Vec<Arg> {
    let list = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append).allow_hyphen_values(false)
    };
    let descriptor = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").value_parser(clap::value_parser!(i32).range(3..)).help(help)
    };
    let path = |name: &'static str| Arg::new(name).long(name).value_parser(clap::value_parser!(PathBuf));
    let mut options = vec![
        path("settings")
            .short('s')
            .visible_alias("config")
            .value_name("FILE")
            .help("Settings file; without, ~/.srt-settings.json where it exists"),
        list("profile", "NAME", "A preset, before the settings file; may be repeated"),
        Arg::new("debug").short('d').long("debug").action(ArgAction::SetTrue).help("Say more on stderr"),
        path("cwd").short('C').value_name("DIR").help("Working directory of the command"),
        list("allow-read", "PATH", "Make PATH readable inside a denied directory"),
        list("deny-read", "PATH", "Hide PATH"),
        list("allow-write", "PATH", "Make PATH writable"),
        list("deny-write", "PATH", "Keep PATH from being written"),
        list("allow-domain", "ENTRY", "Let HOST[:PORT] or *.DOMAIN be reached"),
        list("deny-domain", "ENTRY", "Deny it even where another entry allows it"),
        list("accept-gap", "NAME", "Run without a layer that this host or version lacks"),
        // Shows on one kernel what srt does on others. It can only take away, and what is missing is a gap as on a real host.
        list("without", "LAYER", "Take LAYER as missing").hide(true).value_parser(PossibleValuesParser::new(Support::LAYERS)),
    ];
    if with_command {
        options.extend([Arg::new("shell-text")
            .short('c')
            .value_name("TEXT")
            .value_parser(OsStringValueParser::new())
            .allow_hyphen_values(true)
            .help("Run TEXT by a shell")]);
    }
    options.extend([
        Arg::new("violations")
            .long("violations")
            .value_name("HOW")
            .value_parser(PossibleValuesParser::new(["summary", "live", "json", "off"]))
            .help("How denials are shown on stderr [default: summary]"),
        path("violations-file").value_name("FILE").help("Write denials to FILE as JSON lines"),
        descriptor("status-fd", "Tell what happens on descriptor N, as JSON lines"),
        descriptor("control-fd", "Take settings and answers from descriptor N, as JSON lines"),
        Arg::new("ask").long("ask").action(ArgAction::SetTrue).help("Ask about hosts that no rule decides"),
        Arg::new("pass-fd")
            .long("pass-fd")
            .value_name("N")
            .action(ArgAction::Append)
            .value_parser(clap::value_parser!(i32).range(3..))
            .help("Let the command have descriptor N"),
    ]);
    options
}
