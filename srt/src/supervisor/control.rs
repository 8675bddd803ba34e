//! What the program that started srt tells it, as JSON lines (`--control-fd`).
//!
//! A line is an answer to a question, or a whole settings object, as the npm program takes it. Its writer is trusted: it may allow anything. Still a line is
//! bounded, and one that makes no sense changes nothing.

use std::io::{self, ErrorKind};

use serde::Deserialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::descriptor::Descriptor;
use crate::ask::{Answer, Remember};

/// Longest line: as a settings file.
const MAX_LINE: usize = 1 << 20;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The answer to a question.
    Answer {
        /// Of which.
        id: u64,
        /// What.
        answer: Answer,
    },
    /// Settings that replace those of the file, or of the line before.
    Settings(String),
}

impl Message {
    /// Takes a line apart. An object with the key `type` is no settings object.
    pub(super) fn parse(line: &str) -> Result<Message, String> {
        let is_typed = serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value.get("type").is_some());
        if !is_typed {
            return Ok(Message::Settings(line.to_owned()));
        }
        match serde_json::from_str(line).map_err(|error| error.to_string())? {
            Typed::Answer { id, allow, remember } => Ok(Message::Answer { id, answer: Answer { allow, remember } }),
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Typed {
    Answer {
        id: u64,
        allow: bool,
        #[serde(default = "once")]
        remember: Remember,
    },
}

fn once() -> Remember {
    Remember::Once
}

/// What came.
#[derive(Debug)]
pub(super) enum Received {
    /// A line that is not blank, and its number, from 1.
    Line(u64, String),
    /// A line that is too long or no UTF-8; in words.
    Bad(u64, &'static str),
    /// The writer is gone.
    End,
    /// The descriptor cannot be read.
    Failed(io::Error),
}

/// The lines of a descriptor.
pub(super) struct Lines {
    input: Input,
    /// Bytes read and not yet looked at.
    bytes: Vec<u8>,
    number: u64,
    /// The rest of a line that was too long is thrown away.
    skipping: bool,
    ended: bool,
}

enum Input {
    Waiting(AsyncFd<Descriptor>),
    File(Descriptor),
}

impl Lines {
    /// # Errors
    /// The descriptor cannot be waited for.
    pub(super) fn new(descriptor: Descriptor) -> io::Result<Lines> {
        let input = if descriptor.is_file() {
            Input::File(descriptor)
        } else {
            // SAFETY: the descriptor owns what it names, and always names the same.
            Input::Waiting(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
        };
        Ok(Lines { input, bytes: Vec::new(), number: 0, skipping: false, ended: false })
    }

    /// The next line.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            if let Some(received) = self.take() {
                return received;
            }
            if self.ended {
                return Received::End;
            }
            let mut block = [0; 16 * 1024];
            match self.read(&mut block).await {
                Ok(0) => self.end(),
                Ok(count) => self.bytes.extend_from_slice(&block[..count]),
                Err(error) => return Received::Failed(error),
            }
        }
    }

    /// The last line may lack its line break.
    fn end(&mut self) {
        self.ended = true;
        if !self.bytes.is_empty() {
            self.bytes.push(b'\n');
        }
    }

    /// A whole line that has been read.
    fn take(&mut self) -> Option<Received> {
        loop {
            let Some(length) = self.bytes.iter().position(|byte| *byte == b'\n') else {
                return self.check_length();
            };
            let line: Vec<u8> = self.bytes.drain(..=length).collect();
            self.number += 1;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            match String::from_utf8(line) {
                _ if length > MAX_LINE => return Some(Received::Bad(self.number, "it is too long")),
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Some(Received::Line(self.number, text)),
                Err(_) => return Some(Received::Bad(self.number, "it is not UTF-8")),
            }
        }
    }

    fn check_length(&mut self) -> Option<Received> {
        if self.bytes.len() <= MAX_LINE {
            return None;
        }
        self.bytes.clear();
        let first = !std::mem::replace(&mut self.skipping, true);
        first.then_some(Received::Bad(self.number + 1, "it is too long"))
    }

    async fn read(&self, block: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &self.input {
                Input::File(file) => file.read(block),
                Input::Waiting(waiting) => {
                    let mut ready = waiting.readable().await?;
                    match ready.get_inner().read(block) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            ready.clear_ready();
                            continue;
                        }
                        read => read,
                    }
                }
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_settings() {
        let answer = |allow, remember| Ok(Message::Answer { id: 7, answer: Answer { allow, remember } });
        for (line, expected) in [
            (r#"{"type":"answer","id":7,"allow":true}"#, answer(true, Remember::Once)),
            (r#"{"type":"answer","id":7,"allow":false,"remember":"run"}"#, answer(false, Remember::Run)),
            (r#"{"type":"answer","id":7,"allow":true,"remember":"always"}"#, answer(true, Remember::Always)),
            (r#"{"network":{}}"#, Ok(Message::Settings(r#"{"network":{}}"#.to_owned()))),
            ("nonsense", Ok(Message::Settings("nonsense".to_owned()))),
        ] {
            assert_eq!(Message::parse(line), expected, "{line}");
        }
        for line in [
            r#"{"type":"answer","id":7}"#,
            r#"{"type":"answer","id":-1,"allow":true}"#,
            r#"{"type":"stop"}"#,
            r#"{"type":1}"#,
            r#"{"type":"answer","id":7,"allow":1}"#,
            r#"{"type":"answer","id":7,"allow":true,"for":"ever"}"#,
        ] {
            assert!(Message::parse(line).is_err(), "{line}");
        }
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        let directory = crate::settings::scratch::Scratch::new();
        let path = directory.path().join("lines");
        std::fs::write(&path, bytes).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let mut lines = Lines::new(Descriptor::take(number, super::super::descriptor::Direction::In, "--control-fd").unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let mut all = Vec::new();
            loop {
                match lines.next().await {
                    Received::Line(number, text) => all.push(format!("{number} {}", text.trim())),
                    Received::Bad(number, why) => all.push(format!("{number} {why}")),
                    Received::End => return all,
                    Received::Failed(error) => panic!("{error}"),
                }
            }
        })
    }

    #[test]
    fn lines_are_bounded_and_blank_ones_are_skipped() {
        assert_eq!(lines(b"one\n\n  \ntwo"), ["1 one", "4 two"]);
        let mut long = vec![b'x'; 3 * MAX_LINE];
        long.extend(b"\nnext\n\xff\xfe\nlast\n");
        assert_eq!(lines(&long), ["1 it is too long", "2 next", "3 it is not UTF-8", "4 last"]);
        assert!(lines(b"").is_empty());
    }
}
