//! `ignoreViolations`: denials that the user does not want to hear of. They stay denied.

use super::Event;
use crate::Fault;
use crate::policy::Located;

/// The patterns that apply to one command.
#[derive(Clone, Debug, Default)]
pub struct IgnoreRules {
    patterns: Vec<String>,
}

impl IgnoreRules {
    /// Picks the entries for `command` (its words joined by spaces): those under `*`, and those whose key is part of the command.
    pub fn build(settings: &[Located<(String, Vec<String>)>], command: &str) -> Result<IgnoreRules, Vec<Fault>> {
        let empty = |entry: &&Located<(String, Vec<String>)>| entry.value.0.is_empty() || entry.value.1.iter().any(String::is_empty);
        let fault = |entry: &Located<(String, Vec<String>)>| {
            Fault::new(
                format!("use {:?} in ignoreViolations", entry.value.0),
                "an empty text is part of every text, so it would hide everything",
            )
            .from_origin(&entry.origin)
        };
        let faults: Vec<_> = settings.iter().filter(empty).map(fault).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let applies = |key: &str| key == "*" || command.contains(key);
        let patterns = settings.iter().filter(|entry| applies(&entry.value.0)).flat_map(|entry| entry.value.1.clone());
        Ok(IgnoreRules { patterns: patterns.collect() })
    }

    /// Is one of the patterns part of the event's line?
    pub(super) fn covers(&self, event: &Event) -> bool {
        !self.patterns.is_empty() && {
            let line = event.line();
            self.patterns.iter().any(|pattern| line.contains(pattern))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;
    use crate::policy::Origin;

    fn rules(key: &str, pattern: &str, command: &str) -> Result<IgnoreRules, Vec<Fault>> {
        IgnoreRules::build(&[Located::new((key.into(), vec![pattern.into()]), Origin::Flag("--test"))], command)
    }

    #[test]
    fn a_pattern_is_part_of_the_line_and_its_key_part_of_the_command() {
        for (key, pattern, expected) in [
            ("*", "example.com:443", true),
            ("*", "example.org", false),
            ("npm", "example.com", true),
            ("npm install", "not on the allow list", true),
            ("yarn", "example.com", false),
        ] {
            let rules = rules(key, pattern, "npm install left-pad").unwrap();
            assert_eq!(rules.covers(&event("example.com:443")), expected, "{key} {pattern}");
        }
    }

    #[test]
    fn empty_texts_are_faults() {
        assert_eq!(rules("*", "", "x").unwrap_err().len(), 1);
        assert_eq!(rules("", "x", "x").unwrap_err().len(), 1);
    }
}
