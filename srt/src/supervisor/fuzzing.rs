//! Fuzz target: the control channel.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use super::control::{Lines, Message, Received};
use super::descriptor::{Descriptor, Direction};
use crate::settings::parse_text;

/// What fits a socket without a reader.
const MOST: usize = 32 * 1024;

/// Everything that a program ever writes, in two pieces.
pub(crate) fn control(data: &[u8]) {
    let data = &data[..data.len().min(MOST)];
    let lines = read(data);
    assert_eq!(lines, expected(data));
    for line in lines.iter().filter_map(|(_, line)| line.as_ref()) {
        message_is_as_said(line);
    }
}

/// Numbers and texts; no text where the line is none.
fn read(data: &[u8]) -> Vec<(u64, Option<String>)> {
    let (ours, mut theirs) = UnixStream::pair().expect("a socket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let descriptor = Descriptor::take(ours.as_raw_fd(), Direction::In, "--control-fd").expect("a socket can be read");
        let mut lines = Lines::new(descriptor).expect("a socket can be waited for");
        let (first, second) = data.split_at(data.len() / 2);
        theirs.write_all(first).expect("it fits");
        let mut theirs = Some(theirs);
        let mut all = Vec::new();
        // The rest comes when the first piece was looked at.
        loop {
            let received = tokio::select! {
                biased;
                received = lines.next() => received,
                () = tokio::task::yield_now(), if theirs.is_some() => {
                    let mut writer = theirs.take().expect("asked before");
                    writer.write_all(second).expect("it fits");
                    continue;
                }
            };
            match received {
                Received::Line(number, text) => all.push((number, Some(text))),
                Received::Bad(number, _why) => all.push((number, None)),
                Received::End => return all,
                Received::Failed(error) => panic!("{error}"),
            }
        }
    })
}

fn expected(data: &[u8]) -> Vec<(u64, Option<String>)> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(data.split(|byte| *byte == b'\n')) {
        let text = std::str::from_utf8(line).ok();
        if text.is_none_or(|text| !text.trim().is_empty()) {
            all.push((number, text.map(|text| format!("{text}\n"))));
        }
    }
    all
}

fn message_is_as_said(line: &str) {
    let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let kind = value.as_ref().and_then(|value| value.get("type"));
    match Message::parse(line) {
        Ok(Message::Answer { id, answer }) => {
            let value = value.as_ref().expect("an answer is JSON");
            assert_eq!((kind.and_then(|kind| kind.as_str()), value["id"].as_u64()), (Some("answer"), Some(id)), "{line}");
            assert_eq!(value["allow"].as_bool(), Some(answer.allow), "{line}");
        }
        Ok(Message::Settings(text)) => {
            assert!(kind.is_none() && text == line, "{line}");
            let _made_or_refused = parse_text("control line 1", &text);
        }
        Err(_) => assert!(kind.is_some(), "{line}"),
    }
}

/// A record of the kernel's program: it is read back to the byte or refused, and whatever it says, it names a denial of the policy or none.
#[cfg(target_os = "linux")]
pub(crate) fn record(data: &[u8]) {
    use srt_ebpf::Record;

    use super::linux::records::{Named, denial};
    use crate::policy::testing::rule;
    use crate::policy::{AbsPath, FsEffect, FsPolicy, Matcher};

    let Some(parsed) = Record::parse(data) else { return };
    let mut again = parsed.record.as_bytes().to_vec();
    (0..5).for_each(|place| again.extend(parsed.text(place)));
    assert_eq!(again, data);
    assert!(parsed.names(0).chain(parsed.names(2)).all(|name| !name.is_empty() && !name.contains(&0)));
    let at = |path: &str| Matcher::Path(AbsPath::new(path).expect("absolute"));
    let rules = vec![rule("fs.deny-read.0", FsEffect::DenyRead, at("/home")), rule("fs.allow-write.0", FsEffect::AllowWrite, at("/work"))];
    let policy = FsPolicy::new(rules);
    for broker in [false, true] {
        if let Some((denied, _)) = denial(&parsed, &policy, broker, &Named) {
            assert_eq!(i64::from(denied.errno), i64::from(parsed.record.errno));
            assert!(!denied.rule.is_empty());
        }
    }
}
