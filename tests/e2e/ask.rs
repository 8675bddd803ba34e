//! Questions about hosts on the terminal.

use srt_tests::server::{GREETING, Server};
use srt_tests::terminal::Terminal;
use srt_tests::{Area, Program, for_each_identity};

const PROMPT: &str = "type one of these words: ";

/// `srt run --ask` with the area's rules in `outside/s.json`.
fn asking(area: &Area, script: &str) -> Program {
    let settings = area.file("outside/s.json", &area.rules().text());
    area.bare_srt().args(&["run", "--settings", &settings.display().to_string(), "--ask", "--", "sh", "-c", script])
}

fn get(target: &str) -> String {
    format!("{} connect-get {target}", srt_tests::probe().display())
}

/// The word that the last prompt shows for this choice.
fn word(terminal: &Terminal, choice: &str) -> String {
    let shown = terminal.shown();
    let line = shown.lines().rev().find(|line| line.contains(choice)).unwrap_or_else(|| panic!("no {choice:?} in {shown:?}"));
    line.split_whitespace().next().expect("a word comes first").to_owned()
}

/// Waits for the `count`th prompt.
fn wait_for_prompt(terminal: &mut Terminal, count: usize) {
    let start = std::time::Instant::now();
    while terminal.shown().matches(PROMPT).count() < count {
        assert!(start.elapsed() < srt_tests::patience(30), "no prompt {count}: {:?}", terminal.shown());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_host_that_no_rule_decides_is_asked_about_and_the_answer_holds() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let target = server.name();
        let script = format!("{0}; echo one-done; {0}; echo two-done; {0}; echo three-done; {0}; echo end-$?", get(&target));
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        wait_for_prompt(&mut terminal, 1);
        assert!(terminal.shown().contains(&format!("reach {target},")));
        terminal.enter("n\n");
        terminal.wait_for("srt: denied once");
        terminal.wait_for("one-done");
        assert!(!terminal.shown().contains(GREETING));
        for (number, choice) in ["allow once", "allow for this run"].into_iter().enumerate() {
            wait_for_prompt(&mut terminal, number + 2);
            let word = word(&terminal, choice);
            terminal.enter(&format!("{word}\n"));
        }
        terminal.wait_for("end-0");
        assert_eq!(terminal.shown().matches(PROMPT).count(), 3, "the third answer holds for the run");
        assert_eq!(server.accepted(), 3);
        assert!(terminal.wait().success());
        assert!(!area.content("outside/s.json").contains(&target));
    });
}

#[test]
fn always_goes_to_the_settings_file() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let target = server.name();
        let mut terminal = Terminal::start(&area, &asking(&area, &get(&target)));
        wait_for_prompt(&mut terminal, 1);
        let word = word(&terminal, "allow always");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for("srt: allowed always");
        terminal.wait_for(GREETING);
        assert!(terminal.wait().success());
        let settings = area.text("outside/s.json");
        area.bare_srt().args(&["check", "--settings", &settings, "connect", &target]).run().assert_code(0);
    });
}

#[test]
fn only_a_word_of_this_very_question_allows() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let script = format!("{0}; {0}; {0}; {0}; echo end", get(&server.name()));
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        wait_for_prompt(&mut terminal, 1);
        let old = word(&terminal, "allow once");
        terminal.enter("y\n");
        for count in [2, 3] {
            wait_for_prompt(&mut terminal, count);
            terminal.enter(&format!("{old}\n"));
        }
        // Three in vain: the fourth is not asked.
        terminal.wait_for("end");
        assert_eq!(terminal.shown().matches(PROMPT).count(), 3);
        terminal.wait_for("4 times");
        terminal.wait();
        assert_eq!(server.accepted(), 0);
    });
}

/// What was typed before the question is not its answer, and what is typed to it does not reach the command.
#[test]
fn the_question_has_the_input_for_itself() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let script = format!(
            "echo ready; (while :; do read line </dev/tty && echo \"eaten: $line\"; done) & while [ ! -e go ]; do sleep 0.05; done; {}; kill $!; echo end",
            get(&server.name())
        );
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        terminal.wait_for("ready");
        area.file("work/go", "");
        wait_for_prompt(&mut terminal, 1);
        let word = word(&terminal, "allow once");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for(GREETING);
        terminal.wait_for("end");
        assert!(!terminal.shown().contains("eaten"), "{:?}", terminal.shown());
        terminal.wait();
    });
}

/// Programs that leave the session keep their descriptors; the kernel would let them write at any time.
#[test]
fn nothing_is_written_over_the_question() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let script =
            format!("setsid sh -c 'while :; do echo FORGED; sleep 0.01; done' & sleep 0.3; {}; kill $!; echo end", get(&server.name()));
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        wait_for_prompt(&mut terminal, 1);
        srt_tests::pause(500);
        let word = word(&terminal, "allow once");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for("srt: allowed once");
        let shown = terminal.shown();
        let question =
            &shown[shown.find("srt: the command wants").expect("the question")..shown.find("srt: allowed once").expect("the answer")];
        assert!(!question.contains("FORGED"), "{question:?}");
        terminal.wait_for("end");
        terminal.wait();
    });
}

/// A timer that continues the process behind our back: it runs, and the answer is not believed.
#[test]
fn an_answer_while_a_program_ran_is_not_believed() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let probe = srt_tests::probe().display();
        // Where all stand still between two of these, there is a question.
        let period = srt_tests::patience(1).as_millis() / 10;
        let script = format!(
            "{probe} continue-by-timer {period} >ran & while [ ! -s ran ]; do sleep 0.01; done; {}; echo end; kill -9 $!",
            get(&server.name())
        );
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        wait_for_prompt(&mut terminal, 1);
        srt_tests::pause(700);
        let word = word(&terminal, "allow once");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for("srt: denied: the command ran during the question");
        terminal.wait_for("end");
        terminal.wait();
        assert_eq!(server.accepted(), 0);
    });
}

/// Output that the command has suspended (TCXONC, TCOOFF) hides no question and holds nothing up.
#[test]
fn suspended_output_is_no_way_to_hide_the_question() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let probe = srt_tests::probe().display();
        let script = format!("{probe} suspend-output; {} >work.out; echo end", get(&server.name()));
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        wait_for_prompt(&mut terminal, 1);
        let word = word(&terminal, "allow once");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for("end");
        terminal.wait();
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn ctrl_c_at_the_question_reaches_the_command() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let script = format!("trap 'echo caught; exit 9' INT; {}; echo not-caught", get(&server.name()));
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        wait_for_prompt(&mut terminal, 1);
        terminal.enter("\x03");
        terminal.wait_for("caught");
        assert_eq!(terminal.wait().code(), Some(9));
    });
}

/// A full-screen program: without echo, its own characters. It has its settings back afterwards, and is told to go on.
#[test]
fn the_terminal_is_given_back_as_it_was() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let script = format!(
            "stty raw -echo; before=$(stty -g); {}; test \"$before\" = \"$(stty -g)\" && echo same-$((1+1)); stty sane; echo end",
            get(&server.name())
        );
        let mut terminal = Terminal::start(&area, &asking(&area, &script));
        wait_for_prompt(&mut terminal, 1);
        let word = word(&terminal, "allow once");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for("same-2");
        terminal.wait_for("end");
        assert!(terminal.shown().contains(GREETING) && terminal.shown().contains(&word));
        assert!(terminal.wait().success());
    });
}

/// A shell outside with job control: the stop for the question is not taken for Ctrl-Z, and a real one still works.
#[test]
fn the_shell_outside_does_not_see_the_stop_of_the_question() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let script = format!("{}; echo up-$((40+2)); read line; echo \"line is $line\"", get(&server.name()));
        let words = asking(&area, &script).words();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        let file = area.file("outside/job.sh", &format!("{}\n", quoted.join(" ")));
        let shell = area.outside("/bin/bash").args(&["--norc", "--noprofile", "-i"]).env("PS1", "prompt> ");
        let mut terminal = Terminal::start(&area, &shell);
        terminal.wait_for("prompt>");
        terminal.enter(&format!("PATH=$PATH; eval \"$(cat {})\"\n", file.display()));
        wait_for_prompt(&mut terminal, 1);
        let word = word(&terminal, "allow once");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for("up-42");
        assert!(!terminal.shown().contains("Stopped"), "{:?}", terminal.shown());
        // A Ctrl-Z before srt has told the command once more to go on would be undone by that; no person is so quick.
        srt_tests::pause(300);
        terminal.enter("\x1a");
        terminal.wait_for("Stopped");
        terminal.enter("fg\nhello\n");
        terminal.wait_for("line is hello");
        terminal.enter("exit 5\n");
        assert_eq!(terminal.wait().code(), Some(5));
    });
}

/// `srt … &`: the person is busy with something else.
#[test]
fn a_job_in_the_background_does_not_take_the_terminal() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let words = asking(&area, &get("a.test:443")).words();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        let file = area.file("outside/job.sh", &format!("{}\n", quoted.join(" ")));
        let shell = area.outside("/bin/bash").args(&["--norc", "--noprofile", "-i"]).env("PS1", "prompt> ");
        let mut terminal = Terminal::start(&area, &shell);
        terminal.wait_for("prompt>");
        terminal.enter(&format!("eval \"$(cat {}) &\"\n", file.display()));
        terminal.wait_for("the terminal is in use by another job");
        assert!(!terminal.shown().contains(PROMPT));
        terminal.enter("echo alive-$((1+1)); exit 5\n");
        terminal.wait_for("alive-2");
        assert_eq!(terminal.wait().code(), Some(5));
    });
}

/// The run ends under the question: the shell that comes next has its terminal as it was.
#[test]
fn the_terminal_is_given_back_when_the_command_is_killed_at_the_question() {
    for_each_identity(|who| {
        let area = Area::new(who);

        let words = asking(&area, &format!("stty -icanon -echo; {}; : end", get("a.test:443"))).words();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        let script = format!("trap : QUIT; {}; echo status-$?; stty -a; stty sane; echo end-$((1+1))", quoted.join(" "));
        let mut terminal = Terminal::start(&area, &area.outside("/bin/sh").args(&["-c", &script]));
        wait_for_prompt(&mut terminal, 1);
        // Ctrl-\\ reaches srt and the command, which is stopped: it ends when it goes on.
        terminal.enter("\x1c");
        terminal.wait_for("end-2");
        let shown = terminal.shown();
        assert!(shown.contains("status-131") && shown.contains("-icanon") && shown.contains("-echo "), "{shown:?}");
        terminal.wait();
    });
}

/// An interactive shell inside has the terminal for a job of its own; the question takes it, and gives it back.
#[test]
fn a_job_of_a_shell_inside_is_asked_about_too() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let settings = area.file("outside/s.json", &area.rules().text());
        let program = area.bare_srt().args(&[
            "run",
            "--settings",
            &settings.display().to_string(),
            "--ask",
            "--",
            "bash",
            "--norc",
            "--noprofile",
            "-i",
        ]);
        let mut terminal = Terminal::start(&area, &program.env("PS1", "inside> "));
        terminal.wait_for("inside>");
        terminal.enter(&format!("{}; echo job-$((6*7))\n", get(&server.name())));
        wait_for_prompt(&mut terminal, 1);
        let word = word(&terminal, "allow once");
        terminal.enter(&format!("{word}\n"));
        terminal.wait_for("job-42");
        assert!(terminal.shown().contains(GREETING) && !terminal.shown().contains("Stopped"), "{:?}", terminal.shown());
        terminal.enter("echo still-$((1+1))\n");
        terminal.wait_for("still-2");
        terminal.enter("exit 3\n");
        assert_eq!(terminal.wait().code(), Some(3));
    });
}
