//! One settings text being read: its syntax, the places of its values, and the faults found in it.
//!
//! Comments and trailing commas are welcome; everything else is JSON (RFC 8259), and a key stands once in its object.

use std::path::Path;
use std::sync::Arc;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, ParseResult};

use super::position::Positions;
use super::text::{quoted, shown};
use crate::Fault;
use crate::policy::{Located, Origin};

/// More faults than this in one text are not listed: it is then no settings file, and each costs memory.
const MAX_FAULTS: usize = 100;

/// What a text is called in origins.
#[derive(Clone, Debug)]
pub(super) enum Name {
    /// An embedded preset.
    Preset(Arc<str>),
    /// A file, as it is shown.
    File(Arc<Path>),
}

/// A text and what was found in it so far.
pub(super) struct Document<'t> {
    name: Name,
    positions: Positions<'t>,
    faults: Vec<Fault>,
    dropped: usize,
    remarks: Vec<Located<String>>,
}

impl<'t> Document<'t> {
    pub(super) fn new(name: Name, text: &'t str) -> Self {
        Document { name, positions: Positions::new(text), faults: Vec::new(), dropped: 0, remarks: Vec::new() }
    }

    /// The object that the text consists of; `None`, with a fault, where it is anything else.
    ///
    /// The parser recurses, but no deeper than 512 values, which the 2 MiB of an ordinary thread bear (tested below).
    pub(super) fn parse(&mut self, text: &'t str) -> Option<Value<'t>> {
        match jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &STRICT) {
            Ok(ParseResult { value: Some(object @ Value::Object(_)), .. }) => Some(object),
            Ok(ParseResult { value: Some(other), .. }) => {
                self.syntax_fault(other.start(), format!("settings are an object, not {}", kind(&other)));
                None
            }
            Ok(_) => {
                self.syntax_fault(0, "it is empty");
                None
            }
            Err(error) => {
                self.syntax_fault(error.range().start, in_words(error.kind()));
                None
            }
        }
    }

    /// The origin of the value at `offset`.
    pub(super) fn origin(&self, offset: usize) -> Origin {
        let at = self.positions.at(offset);
        match &self.name {
            Name::Preset(name) => Origin::Profile { name: name.clone(), at },
            Name::File(path) => Origin::File { path: path.clone(), at },
        }
    }

    /// Pairs a value with the place where it stands.
    pub(super) fn located<T>(&self, value: T, node: &impl Ranged) -> Located<T> {
        Located::new(value, self.origin(node.start()))
    }

    /// Notes that the key `at`, whose value or name is `node`, cannot be used.
    pub(super) fn fault(&mut self, at: &str, node: &impl Ranged, cause: impl Into<String>) {
        self.fault_with(at, node, || cause.into());
    }

    /// As [`Document::fault`], for causes that cost something to find out: a file may hold a hundred thousand mistakes.
    pub(super) fn fault_with(&mut self, at: &str, node: &impl Ranged, cause: impl FnOnce() -> String) {
        if self.faults.len() == MAX_FAULTS {
            self.dropped += 1;
        } else {
            self.push(Fault::new(format!("use {}", shown(at)), cause()), node.start());
        }
    }

    /// Notes that one text in the list `at` cannot be used.
    pub(super) fn entry_fault(&mut self, at: &str, entry: &str, node: &impl Ranged, cause: impl Into<String>) {
        self.push(Fault::new(format!("use {} in {}", quoted(entry), shown(at)), cause.into()), node.start());
    }

    /// Notes something that has no effect here, and why.
    pub(super) fn remark(&mut self, node: &impl Ranged, sentence: String) {
        let remark = self.located(sentence, node);
        self.remarks.push(remark);
    }

    /// What was found: remarks, or all faults.
    pub(super) fn finish(mut self) -> Result<Vec<Located<String>>, Vec<Fault>> {
        if self.dropped > 0 {
            let more = format!("{} more faults are not listed", self.dropped);
            self.faults.push(Fault::new(format!("read {}", self.title()), more));
        }
        if self.faults.is_empty() { Ok(self.remarks) } else { Err(self.faults) }
    }

    fn syntax_fault(&mut self, offset: usize, cause: impl Into<String>) {
        self.push(Fault::new(format!("read {}", self.title()), cause.into()), offset);
    }

    fn title(&self) -> String {
        match &self.name {
            Name::Preset(name) => format!("profile {}", shown(name)),
            Name::File(path) => format!("settings file {}", shown(&path.to_string_lossy())),
        }
    }

    fn push(&mut self, fault: Fault, offset: usize) {
        if self.faults.len() == MAX_FAULTS {
            self.dropped += 1;
        } else {
            let origin = self.origin(offset);
            self.faults.push(fault.from_origin(&origin));
        }
    }
}

/// JSON with comments and trailing commas, and none of the other liberties that the parser offers.
pub(super) const STRICT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// What a value is, for a message.
pub(super) fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "a string",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(literal) if literal.value => "true",
        Value::BooleanLit(_) => "false",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "null",
    }
}

/// The parser's words, as the end of one of our sentences.
fn in_words(kind: &jsonc_parser::errors::ParseErrorKind) -> String {
    let words = kind.to_string();
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    shown(&first.into_iter().chain(characters).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(), Vec<String>> {
        let mut document = Document::new(Name::File(Path::new("~/s.json").into()), text);
        document.parse(text);
        document.finish().map(|_| ()).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    fn fault(text: &str) -> String {
        parse(text).expect_err(text).join("\n")
    }

    #[test]
    fn comments_and_trailing_commas_are_welcome() {
        assert_eq!(parse("// a\n{ /* b */ \"a\": [1, 2,], }\n// end"), Ok(()));
    }

    #[test]
    fn other_liberties_are_refused() {
        for text in [
            "{a: 1}",
            "{'a': 1}",
            "{\"a\": 'b'}",
            "{\"a\": 0x1}",
            "{\"a\": +1}",
            "{\"a\": .5}",
            "{\"a\": NaN}",
            "{\"a\": 010}",
            "{\"a\": [1 2]}",
            "{\"a\": [\"b\" \"c\"]}",
            "{\"a\": [[] []]}",
            "{\"a\": {} \"b\": 1}",
            "{\"a\": [,]}",
            "{,}",
            "{\"a\": 1,,}",
            "{\"a\"}",
            "{\"a\": \"\\x41\"}",
            "{\"a\": \"\\ud800\"}",
            "{} {}",
            "{",
            "{\"a\": \"",
            "/* ",
            "# x\n{}",
        ] {
            assert!(fault(text).starts_with("cannot read settings file ~/s.json: "), "{text}");
        }
    }

    #[test]
    fn a_syntax_fault_names_its_place() {
        let shown = fault("{\n  \"größe\": oops\n}");
        assert_eq!(shown, "cannot read settings file ~/s.json: unexpected word\n  from ~/s.json:2:12");
    }

    #[test]
    fn the_root_is_an_object() {
        assert!(fault("[]").contains("settings are an object, not a list"));
        assert!(fault("null").contains("not null"));
        for empty in ["", " \n", "// nothing\n"] {
            assert!(fault(empty).contains("it is empty"), "{empty:?}");
        }
    }

    #[test]
    fn deep_nesting_is_a_fault_and_fits_the_stack_of_a_thread() {
        let depths = [100_000, 511, 255];
        let texts = ["[", "{\"a\":"].iter().flat_map(|open| depths.map(|depth| open.repeat(depth))).collect::<Vec<_>>();
        let check = move || texts.iter().for_each(|text| assert!(parse(text).is_err()));
        std::thread::Builder::new().stack_size(1536 * 1024).spawn(check).unwrap().join().unwrap();
    }
}
