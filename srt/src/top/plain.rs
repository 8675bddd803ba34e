//! Numbers as short text, and the table of `--once`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::model::{Model, Run};
use crate::violation::{self, sanitise};

/// Every run with its hosts and denials.
pub(super) fn table(model: &Model, now: SystemTime) -> String {
    let shown = model.shown();
    if shown.is_empty() {
        return "no sandbox runs\n".to_owned();
    }
    let mut out =
        format!("{:>8} {:>8} {:>9} {:>9} {:>6} {:>9} {:>7}  COMMAND\n", "PID", "USER", "TIME", "MEMORY", "PROCS", "HOSTS", "DENIED");
    for (_, run) in shown {
        row(run, now, &mut out);
    }
    if model.hidden() > 0 {
        let _ = writeln!(out, "and {} that are not shown: there are too many", model.hidden());
    }
    out
}

/// Writing to a String cannot fail.
fn row(run: &Run, now: SystemTime, out: &mut String) {
    let (processes, memory) = usage(run);
    let _ = writeln!(
        out,
        "{:>8} {:>8} {:>9} {:>9} {:>6} {:>9} {:>7}  {}",
        run.about.pid,
        shortened(&run.about.user, 8),
        time(run, now),
        memory,
        processes,
        hosts(run),
        run.total(),
        sanitise(&run.about.command)
    );
    let list = |name: &str, hosts: &std::collections::BTreeSet<String>, out: &mut String| {
        if !hosts.is_empty() {
            let hosts: Vec<String> = hosts.iter().map(|host| sanitise(host)).collect();
            let _ = writeln!(out, "  {name} hosts: {}", hosts.join(" "));
        }
    };
    list("allowed", &run.allowed, out);
    list("denied", &run.denied, out);
    let mut denials = Vec::new();
    let _ = violation::list(&run.denials, 0, &mut denials);
    out.push_str(&String::from_utf8_lossy(&denials));
}

/// `+3 -1`: allowed and denied.
pub(super) fn hosts(run: &Run) -> String {
    format!("+{} -{}", run.allowed.len(), run.denied.len())
}

/// A name in a column, with a mark where it is cut.
pub(super) fn shortened(name: &str, width: usize) -> String {
    let name = sanitise(name);
    if name.chars().count() <= width { name } else { name.chars().take(width - 1).chain(['+']).collect() }
}

/// Since when it runs, or how it ended.
pub(super) fn time(run: &Run, now: SystemTime) -> String {
    match run.end.map(|end| end.code) {
        Some(Some(code)) => format!("ended {code}"),
        Some(None) => "ended".to_owned(),
        None => run.uptime(now).map_or_else(|| "-".to_owned(), duration),
    }
}

/// Processes and memory; a dash where they were not told.
pub(super) fn usage(run: &Run) -> (String, String) {
    let dash = || ("-".to_owned(), "-".to_owned());
    run.usage.map_or_else(dash, |usage| (usage.processes.to_string(), bytes(usage.memory)))
}

/// `1:02`, `1:02:03`, `2d 03:04`.
pub(super) fn duration(duration: Duration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, _) => format!("{minutes}:{seconds:02}"),
        (0, hours, minutes) => format!("{hours}:{minutes:02}:{seconds:02}"),
        (days, hours, minutes) => format!("{days}d {hours:02}:{minutes:02}"),
    }
}

/// `5 s`, `3 min`, `2 h`, `4 d`.
pub(super) fn age(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

/// `740 K`, `34.2 M`, `1.5 G`.
pub(super) fn bytes(bytes: u64) -> String {
    let kibibytes = bytes / 1024;
    match kibibytes {
        0..1024 => format!("{kibibytes} K"),
        1024..1_048_576 => format!("{:.1} M", kibibytes as f64 / 1024.0),
        _ => format!("{:.1} G", kibibytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Line, Message};
    use super::super::model::testing::{about, key, model, now};
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (seconds, text) in [(0, "0:00"), (61, "1:01"), (3725, "1:02:05"), (183_900, "2d 03:05")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        for (size, text) in [(0, "0 K"), (740 << 10, "740 K"), (300 << 20, "300.0 M"), (1536 << 20, "1.5 G")] {
            assert_eq!(bytes(size), text);
        }
        for (seconds, text) in [(5, "5 s"), (180, "3 min"), (7300, "2 h"), (400_000, "4 d")] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn the_table_has_each_run_with_its_hosts_and_denials_and_what_would_allow_them() {
        let text = table(&model(), now());
        let expected = "     PID     USER      TIME    MEMORY  PROCS     HOSTS  DENIED  COMMAND
    4711      ada   1:02:05   300.0 M      7     +1 -1       3  cargo build --release
  allowed hosts: crates.test:443
  denied hosts: ads.test:443
  deny network-outbound ads.test:443 (host is not on the allow list), 3 times
    rule: net.default from built-in default
    allow: add \"ads.test:443\" to network.allowedDomains
      99      ada      1:01         -      -     +0 -0       0  npm test
";
        assert_eq!(text, expected);
        assert_eq!(table(&Model::default(), now()), "no sandbox runs\n");
    }

    #[test]
    fn runs_that_are_not_shown_are_counted() {
        let mut model = model();
        model.take(Message::Hidden(7), now());
        assert!(table(&model, now()).ends_with("\nand 7 that are not shown: there are too many\n"));
    }

    #[test]
    fn nothing_of_a_command_can_drive_the_terminal() {
        let mut model = Model::default();
        model.take(Message::Run(key(1), about(1, "\x1b[2J\u{202e}\n<evil>", 1)), now());
        model.take(Message::Line(key(1), Line::Host { host: "\x1b]0;x\x07".into(), port: 1, allowed: true }), now());
        let text = table(&model, now());
        assert!(text.chars().all(|c| c == '\n' || matches!(c, ' '..='~') && !matches!(c, '<' | '>')), "{text:?}");
    }
}
