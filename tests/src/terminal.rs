//! A pseudo-terminal with a program in front of it, as a person has.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{Area, Program, patience};

/// Seconds to wait for a text before the test fails.
const LIMIT: u64 = 30;

/// The person's side: what is typed goes in, what is shown comes out.
pub struct Terminal {
    controller: File,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    /// Starts `program` as session leader with the terminal as controlling terminal and as its three streams.
    ///
    /// # Panics
    /// When the host gives no pseudo-terminal.
    pub fn start(area: &Area, program: &Program) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("the host has pseudo-terminals");
        grantpt(&controller).expect("a new terminal can be granted");
        unlockpt(&controller).expect("a new terminal can be unlocked");
        let name = ptsname(&controller, Vec::new()).expect("a terminal has a name").to_string_lossy().into_owned();
        if crate::identity::current_uid() == 0 {
            std::os::unix::fs::chown(&name, Some(area.who.uid), None).expect("root may give the terminal away");
        }
        let mut words = vec!["on-terminal".to_owned(), name];
        words.extend(program.words());
        let mut command = program.command();
        let mut start = std::process::Command::new(crate::probe());
        start.args(&words).env_clear();
        start.envs(command.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
        start.current_dir(command.get_current_dir().expect("every program has a directory"));
        area.who.apply(&mut start);
        command = start;
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start on a terminal: {error}"));
        let controller = File::from(controller);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let mut reader = controller.try_clone().expect("a descriptor can be copied");
        let bytes = shown.clone();
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            // EIO is how a terminal says that nobody has it open any more.
            while let Ok(count @ 1..) = reader.read(&mut block) {
                bytes.lock().expect("no holder panics").extend_from_slice(&block[..count]);
            }
        });
        Terminal { controller, shown, child }
    }

    /// Types.
    pub fn enter(&mut self, text: &str) {
        self.controller.write_all(text.as_bytes()).expect("the terminal takes input");
    }

    /// Everything shown up to now.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("no holder panics")).into_owned()
    }

    /// Waits until `text` has been shown.
    ///
    /// # Panics
    /// When it is not shown in time.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while !self.shown().contains(text) {
            if start.elapsed() > patience(LIMIT) {
                drop(self.child.kill());
                panic!("{text:?} is not shown; shown was: {:?}", self.shown());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Changes the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.controller, size).expect("a terminal has a size");
    }

    /// Id of the session leader.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the session leader's end; kills it, by its id, at the time limit.
    ///
    /// # Panics
    /// At the time limit.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            if start.elapsed() > patience(LIMIT) {
                drop(self.child.kill());
                drop(self.child.wait());
                panic!("the session does not end; shown was: {:?}", self.shown());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
