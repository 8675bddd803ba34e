//! What a person reads and types.
//!
//! The words that allow are made anew for each question. A program inside can neither see the screen nor put characters into the terminal's input
//! (TIOCSTI is filtered), but it can make some terminals answer a request as if it had been typed, and a person may be typing to it at this moment:
//! neither hits one of these words. Words that deny are plain: a denial is what happens anyway.

use std::io;

use super::{Answer, Question, Remember};

/// Consonants that are told apart at a glance, so that no word is one of any language.
const LETTERS: &[u8; 16] = b"bcdfghjkmnprstvz";

/// Letters of a word: 65 536 of them.
const LENGTH: usize = 4;

/// One question as it is shown.
#[derive(Clone, Debug)]
pub struct Prompt {
    text: String,
    once: String,
    run: String,
    always: Option<String>,
}

impl Prompt {
    /// With new words. `file` is where "always" is written; without, that cannot be chosen.
    ///
    /// # Errors
    /// No random numbers can be had.
    pub fn new(question: &Question, file: Option<&str>) -> io::Result<Prompt> {
        let [once, run, always] = words()?;
        // The target is canonical: letters, digits, dots, hyphens, colons, brackets.
        let always_line = file.map(|file| format!("     {always}    allow always: write it to {file}\r\n")).unwrap_or_default();
        let text = format!(
            "srt: the command wants to reach {}, which no rule decides\r\n\
             \x20    {once}    allow once\r\n\
             \x20    {run}    allow for this run\r\n\
             {always_line}\
             \x20    n       deny once (also any other word; no answer within {} seconds)\r\n\
             \x20    never   deny for this run\r\n\
             srt: type one of these words: ",
            question.target,
            super::PATIENCE.as_secs(),
        );
        Ok(Prompt { text, once, run, always: file.map(|_| always) })
    }

    /// What is shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was typed, as an answer; `None` for any word that is none of those shown.
    pub fn answer(&self, typed: &str) -> Option<Answer> {
        let (allow, remember) = match typed.trim() {
            word if word == self.once => (true, Remember::Once),
            word if word == self.run => (true, Remember::Run),
            word if self.always.as_deref() == Some(word) => (true, Remember::Always),
            "n" | "no" => (false, Remember::Once),
            "never" => (false, Remember::Run),
            _ => return None,
        };
        Some(Answer { allow, remember })
    }
}

/// Three words, all different.
fn words() -> io::Result<[String; 3]> {
    loop {
        let words = [word()?, word()?, word()?];
        if words[0] != words[1] && words[0] != words[2] && words[1] != words[2] {
            return Ok(words);
        }
    }
}

fn word() -> io::Result<String> {
    let random: [u8; LENGTH] = crate::unix::random()?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 16)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Target;
    use tokio::time::Instant;

    fn prompt() -> Prompt {
        let question = Question { id: 1, target: Target::parse("a.example:443").unwrap(), deadline: Instant::now() };
        Prompt::new(&question, Some("~/.srt-settings.json")).unwrap()
    }

    /// The words of the lines that allow, as a person reads them.
    fn shown(prompt: &Prompt) -> Vec<String> {
        let lines = prompt.text().lines().filter(|line| line.contains(" allow "));
        lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    #[test]
    fn the_words_shown_allow_and_no_other_does() {
        let prompt = prompt();
        let words = shown(&prompt);
        let answers: Vec<_> = words.iter().map(|word| prompt.answer(&format!(" {word}\n")).unwrap().remember).collect();
        assert_eq!(answers, [Remember::Once, Remember::Run, Remember::Always]);
        assert!(words.iter().all(|word| prompt.answer(word).unwrap().allow));
        for typed in ["y", "yes", "", "once", "always", "a", "\x1b[12;34R"] {
            assert_eq!(prompt.answer(typed), None, "{typed:?}");
        }
        for typed in ["n", "no", "never"] {
            assert!(!prompt.answer(typed).unwrap().allow);
        }
    }

    #[test]
    fn words_are_new_for_each_question() {
        let (one, other) = (prompt(), prompt());
        assert_ne!(shown(&one), shown(&other));
        assert!(shown(&one).iter().all(|word| other.answer(word).is_none()));
    }
}
