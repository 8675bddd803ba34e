//! One denied operation, shown in four steps.

use crate::{Area, Events, Expected, Identity, Outcome, Rules};

/// An operation of the probe that the rules must deny.
///
/// [`Denial::assert`] first does it outside with the same identity (it must succeed, in a twin area that is thrown away), then
/// inside (it must fail with one of the errno values), then compares the file system with what it was before.
pub struct Denial<'a> {
    /// Words for the probe; `@` at the start of a word stands for the area's root.
    pub operation: &'a [&'a str],
    /// Names of the errno values that are right.
    pub errno: &'a [&'a str],
    /// Prepares an area; called for the control's twin as well.
    pub prepare: &'a dyn Fn(&Area),
    /// The rules, for an area.
    pub rules: &'a dyn Fn(&Area) -> Rules,
}

impl Denial<'_> {
    /// Runs control and denial as `who`.
    #[track_caller]
    pub fn assert(&self, who: Identity) -> Outcome {
        self.denied(who, |_, _, _| ())
    }

    /// The same, and exactly one event told of it: of this kind, about `target` (`@` stands for the area's root), by this rule.
    #[track_caller]
    pub fn assert_reported(&self, who: Identity, kind: &str, target: &str, rule: &str) -> Outcome {
        self.denied(who, |area, events, outcome| {
            let target = placed(area, target);
            events.assert_only(Expected { kind, operations: &[], target: &target, errno: self.errno, rule }, outcome);
        })
    }

    #[track_caller]
    fn denied(&self, who: Identity, judge: impl FnOnce(&Area, &Events, &Outcome)) -> Outcome {
        self.control(who);
        let area = Area::new(who);
        (self.prepare)(&area);
        let rules = (self.rules)(&area);
        let before = area.snapshot();
        let words = self.words(&area);
        let (outcome, events) = Events::of_probe(&area, &rules, &words.iter().map(String::as_str).collect::<Vec<_>>());
        outcome.assert_prints_one_of(self.errno);
        before.assert_unchanged(area.root());
        judge(&area, &events, &outcome);
        outcome
    }

    /// Without srt the operation succeeds: it is the sandbox that denies it, not the host.
    #[track_caller]
    fn control(&self, who: Identity) {
        let twin = Area::new(who);
        (self.prepare)(&twin);
        let words = self.words(&twin);
        let outcome = twin.probe_outside(&words.iter().map(String::as_str).collect::<Vec<_>>()).run();
        assert_eq!(outcome.code(), Some(0), "the control must succeed\n{outcome}");
    }

    fn words(&self, area: &Area) -> Vec<String> {
        self.operation.iter().map(|word| placed(area, word)).collect()
    }
}

/// `@/work` as the path of `work` in the area; any other word as it is.
fn placed(area: &Area, word: &str) -> String {
    word.strip_prefix('@').map_or_else(|| word.to_owned(), |rest| area.text(rest.trim_start_matches('/')))
}
