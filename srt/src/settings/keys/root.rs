//! Keys at the top of a file, and `git`.

use super::Handling::{Ignored, Said, TrueRefused};
use super::Shape::{AbsolutePath, Bool, Integer, Object, Text, Texts, TextsMap};
use super::{Key, Table, key, served};

const MACOS: &str = "belongs to macOS";
const HELPER: &str = "srt starts no helper program";

pub(super) const KEYS: &[Key] = &[
    key(Table::Root, "$schema", Text, Ignored, r#""https://example.com/srt.json""#, "For editors."),
    key(
        Table::Root,
        "profiles",
        Texts,
        served(|field, settings| settings.profiles = field.texts()),
        r#"["rust"]"#,
        "Presets that are read before this file, in this order.",
    ),
    key(
        Table::Root,
        "network",
        Object(Table::Network),
        served(|field, settings| field.settings(Table::Network, settings)),
        "{}",
        "Hosts, ports and sockets. Missing: nothing is allowed.",
    ),
    key(
        Table::Root,
        "filesystem",
        Object(Table::Filesystem),
        served(|field, settings| field.settings(Table::Filesystem, settings)),
        "{}",
        "Paths. Missing: everything may be read, and only the default write paths written.",
    ),
    key(
        Table::Root,
        "credentials",
        Object(Table::Credentials),
        served(|field, settings| field.settings(Table::Credentials, settings)),
        "{}",
        "Files and environment variables that hold secrets.",
    ),
    key(Table::Root, "git", Object(Table::Git), served(|field, settings| field.settings(Table::Git, settings)), "{}", "What git is told."),
    key(
        Table::Git,
        "safeDirectories",
        Texts,
        served(|field, settings| settings.git_safe_directories = field.texts()),
        r#"["/src/repository"]"#,
        "Repositories of other users that git may work in; told through `GIT_CONFIG_COUNT`.",
    ),
    key(
        Table::Root,
        "acceptGaps",
        Texts,
        served(|field, settings| settings.accept_gaps = field.texts()),
        r#"["name-rules"]"#,
        "Layers, by the name that `srt doctor` shows, without which the command may run.",
    ),
    key(
        Table::Root,
        "unprotect",
        Texts,
        served(|field, settings| settings.unprotect = field.texts()),
        r#"[".vscode"]"#,
        "Protected names that may be written.",
    ),
    key(
        Table::Root,
        "mandatoryDenySearchDepth",
        Integer(1, 10),
        served(|field, settings| settings.mandatory_deny_search_depth = field.integer(1, 10)),
        "5",
        "How deep below a write root existing protected names are looked for at start.",
    ),
    key(
        Table::Root,
        "ignoreViolations",
        TextsMap,
        served(|field, settings| settings.ignore_violations = field.texts_map()),
        r#"{"*": ["/proc/self"]}"#,
        "Part of a command, or `*`, to parts of violation lines that are not reported.",
    ),
    key(
        Table::Root,
        "enableWeakerNestedSandbox",
        Bool,
        served(|field, settings| settings.enable_weaker_nested_sandbox = field.boolean()),
        "true",
        "Run with what a container leaves of the layers.",
    ),
    key(
        Table::Root,
        "allowNestedUserNamespaces",
        Bool,
        TrueRefused("a Landlock domain cannot change mounts, so a sandbox within the sandbox would fail"),
        "false",
        "Allow the command to make user namespaces.",
    ),
    key(Table::Root, "enableWeakerNetworkIsolation", Bool, Said(MACOS), "true", "macOS: reach the trust daemon."),
    key(Table::Root, "allowAppleEvents", Bool, Said(MACOS), "true", "macOS: send Apple events and open applications."),
    key(Table::Root, "allowPty", Bool, Said("pseudo-terminals are always allowed on Linux"), "true", "macOS: make pseudo-terminals."),
    key(
        Table::Root,
        "ripgrep",
        Object(Table::Ripgrep),
        Said(HELPER),
        r#"{"command": "rg", "args": ["--hidden"]}"#,
        "npm: the program that looks for protected names.",
    ),
    key(
        Table::Root,
        "seccomp",
        Object(Table::Seccomp),
        Said("srt builds its filters itself"),
        r#"{"applyPath": "/opt/apply-seccomp"}"#,
        "npm: the program that installs the filters.",
    ),
    key(Table::Root, "bwrapPath", AbsolutePath, Said(HELPER), r#""/usr/bin/bwrap""#, "npm: where bubblewrap is."),
    key(Table::Root, "socatPath", AbsolutePath, Said(HELPER), r#""/usr/bin/socat""#, "npm: where socat is."),
    key(Table::Root, "javaAgentJarPath", AbsolutePath, Said(HELPER), r#""/opt/agent.jar""#, "npm: an agent that shows Java the proxy."),
];
