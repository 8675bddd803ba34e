//! A crate with a dependency, fetched, built and tested inside.

use std::path::PathBuf;
use std::process::Command;

use srt_tests::{Area, Identity, Outcome, Program, for_each_identity, skipped};

/// The toolchain that builds these tests, in a place that every identity can use.
struct Toolchain {
    bin: String,
}

impl Toolchain {
    /// `None`, and a counted skip, where the identity cannot use it.
    fn usable_by(area: &Area) -> Option<Self> {
        let toolchain = sysroot().map(|sysroot| Toolchain { bin: format!("{}/bin", srt_tests::reachable_directory(&sysroot).display()) });
        let versions = "cargo --version && rustc --version";
        let works = |toolchain: &Toolchain| toolchain.cargo(area, area.outside("/bin/sh"), versions).run().code() == Some(0);
        let usable = toolchain.filter(works);
        if usable.is_none() {
            skipped(&format!("{}: there is no Rust toolchain that this identity can use", area.who.name));
        }
        usable
    }

    /// Shell text with the toolchain in reach and a cargo home of its own in the area.
    fn cargo(&self, area: &Area, shell: Program, text: &str) -> Program {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin);
        shell
            .args(&["-c", text])
            .env("PATH", path)
            .env("CARGO_HOME", area.text("work/cargo-home"))
            .env("CARGO_TERM_COLOR", "never")
            .limit(300)
    }
}

/// Where the toolchain in use lies.
fn sysroot() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// A crate with one real dependency and a test that uses it.
fn write_crate(area: &Area, build_script: &str) {
    area.file(
        "work/job/Cargo.toml",
        "[package]\nname = \"job\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\nitoa = \"1\"\n\n[workspace]\n",
    );
    let test = "#[test]\nfn number_is_written() {\n    assert_eq!(itoa::Buffer::new().format(42), \"42\");\n}\n";
    area.file("work/job/src/lib.rs", test);
    if !build_script.is_empty() {
        area.file("work/job/build.rs", build_script);
    }
}

/// `srt run --profile rust … -- cargo test` as the issue says it, in the crate.
fn job(area: &Area, toolchain: &Toolchain, options: &[&str]) -> Outcome {
    let program = area.bare_srt().args(&["run", "--profile", "rust"]).args(options).args(&["--", "sh"]);
    toolchain.cargo(area, program, "exec cargo test").cwd(area.path("work/job")).run()
}

/// Fetches outside, with the same identity: where that fails no registry can be reached.
fn registry_reachable(who: Identity, toolchain: &Toolchain) -> bool {
    let control = Area::new(who);
    write_crate(&control, "");
    let fetched = toolchain.cargo(&control, control.outside("/bin/sh"), "cargo fetch").cwd(control.path("work/job")).run();
    if fetched.code() != Some(0) {
        skipped(&format!("{}: no package registry can be reached: {}", who.name, fetched.err().lines().last().unwrap_or_default()));
    }
    fetched.code() == Some(0)
}

#[test]
fn a_crate_is_fetched_built_and_tested_through_the_filtering_proxy() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let Some(toolchain) = Toolchain::usable_by(&area) else { return };
        if !registry_reachable(who, &toolchain) {
            return;
        }
        write_crate(&area, "");
        area.dir("work/cargo-home");
        let settings = area.settings(&area.rules());
        let outcome = job(&area, &toolchain, &["--settings", &settings]);
        outcome.assert_code(0).assert_out_has("number_is_written ... ok").assert_err_has("Downloaded itoa");
    });
}

#[test]
fn with_the_network_denied_the_same_run_fails_at_the_fetch_and_the_summary_names_the_host() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let Some(toolchain) = Toolchain::usable_by(&area) else { return };
        write_crate(&area, "");
        area.dir("work/cargo-home");
        let program = area.srt(&area.rules()).args(&["sh"]);
        let outcome = toolchain.cargo(&area, program, "exec cargo test").cwd(area.path("work/job")).run();
        assert_eq!(outcome.code(), Some(101), "{outcome}");
        // No host is written down here: cargo itself says in its messages which one it wanted.
        let events = outcome.events();
        assert_eq!(events.len(), 1, "{outcome}");
        let host = denied_host(&events[0].0);
        let said = outcome.err().split_whitespace().any(|word| word.contains(&format!("://{host}/")));
        assert!(said, "cargo wanted another host than {host}\n{outcome}");
        assert!(events[0].1.starts_with("net.") && !area.has("work/job/target/debug/deps"), "{outcome}");
    });
}

/// The host of `network-outbound HOST:PORT (reason)`.
fn denied_host(event: &str) -> String {
    let target = event.split(' ').nth(1).unwrap_or_default();
    target.rsplit_once(':').map_or(target, |(host, _)| host).to_owned()
}

/// A build script as an attacker would write it. Everything it got is printed for cargo to show.
const HOSTILE: &str = r#"
use std::{env, fs, net::TcpStream};
fn main() {
    let home = env::var("HOME").unwrap();
    println!("cargo:warning=home {:?}", fs::write(format!("{home}/.profile"), "evil"));
    println!("cargo:warning=cron {:?}", fs::write(format!("{home}/new"), "evil"));
    println!("cargo:warning=read {:?}", fs::read_to_string(env::var("JOB_SECRET").unwrap()));
    println!("cargo:warning=dial {:?}", TcpStream::connect(env::var("JOB_DIAL").unwrap()).map(|_| "reached"));
    println!("cargo:warning=hook {:?}", fs::write("../.git/hooks/pre-commit", "evil"));
}
"#;

#[test]
fn a_hostile_build_script_is_contained_and_the_job_still_succeeds() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let server = srt_tests::server::Server::http();
        let Some(toolchain) = Toolchain::usable_by(&area) else { return };
        if !registry_reachable(who, &toolchain) {
            return;
        }
        write_crate(&area, HOSTILE);
        area.file("home/.profile", "kept");
        area.file("home/.aws/credentials", "the-secret-of-this-test");
        area.file("work/.git/hooks/pre-commit", "kept");
        area.dir("work/cargo-home");
        let settings = area.settings(&area.rules().deny_read("~/.aws"));
        let program = area.bare_srt().args(&["run", "--profile", "rust", "--settings", &settings, "--", "sh"]);
        let program = toolchain.cargo(&area, program, "exec cargo test -vv").cwd(area.path("work/job"));
        let program = program.env("JOB_SECRET", area.text("home/.aws/credentials")).env("JOB_DIAL", server.literal());
        let before = [area.path("home"), area.path("outside"), area.path("work/.git")].map(|path| (srt_tests::Snapshot::of(&path), path));
        let outcome = program.run();
        for (snapshot, path) in before {
            snapshot.assert_unchanged(&path);
        }
        assert_eq!(server.accepted(), 0, "{outcome}");
        assert!(!outcome.err().contains("the-secret-of-this-test") && !outcome.out().contains("the-secret-of-this-test"), "{outcome}");
        for attempt in ["home Err", "cron Err", "read Err", "dial Err", "hook Err"] {
            outcome.assert_err_has(attempt);
        }
        outcome.assert_code(0).assert_out_has("number_is_written ... ok");
    });
}

#[test]
fn the_hostile_build_script_gets_everything_outside() {
    for_each_identity(|who| {
        let area = &Area::new(who);
        let Some(toolchain) = Toolchain::usable_by(area) else { return };
        let server = srt_tests::server::Server::http();
        // Without the dependency: the control needs no registry.
        area.file("work/job/Cargo.toml", "[package]\nname = \"job\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n");
        area.file("work/job/src/lib.rs", "");
        area.file("work/job/build.rs", HOSTILE);
        area.file("home/secret", "the-secret-of-this-test");
        area.dir("work/.git/hooks");
        let program = toolchain.cargo(area, area.outside("/bin/sh"), "cargo build -vv --offline").cwd(area.path("work/job"));
        let outcome = program.env("JOB_SECRET", area.text("home/secret")).env("JOB_DIAL", server.literal()).run();
        for attempt in ["home Ok", "cron Ok", "read Ok", "dial Ok", "hook Ok"] {
            outcome.assert_err_has(attempt);
        }
        assert_eq!(server.accepted(), 1);
    });
}
