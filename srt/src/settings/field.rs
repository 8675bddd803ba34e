//! The value of one key, read as the type that the key has.
//!
//! Each reader returns what could be read; what could not is a fault of the document, and reading goes on, so that a user sees all
//! faults at once.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use jsonc_parser::ast::{ObjectProp, Value};

use super::document::{Document, kind};
use super::entry;
use super::keys::{Handling, Key, Reader, Shape, Table};
use super::model::{PathEntry, Settings};
use super::text::{check_controls, check_plain, quoted, shown};
use crate::policy::{DomainList, Located};

/// A value, its path for messages, and the document that it stands in.
pub(super) struct Field<'d, 'n, 't> {
    pub(super) document: &'d mut Document<'t>,
    pub(super) at: String,
    pub(super) value: &'n Value<'t>,
}

impl<'n, 't> Field<'_, 'n, 't> {
    /// The field's own value cannot be used.
    pub(super) fn fault(&mut self, cause: impl Into<String>) {
        self.document.fault(&self.at, self.value, cause);
    }

    fn wrong(&mut self, shape: Shape) {
        self.fault(format!("must be {shape}, not {}", kind(self.value)));
    }

    /// A value below this one.
    pub(super) fn child<'c>(&'c mut self, at: String, value: &'n Value<'t>) -> Field<'c, 'n, 't> {
        Field { document: self.document, at, value }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self) -> Option<Located<bool>> {
        let Value::BooleanLit(literal) = self.value else {
            self.wrong(Shape::Bool);
            return None;
        };
        Some(self.document.located(literal.value, self.value))
    }

    /// A whole number. As in JavaScript, `8e3` and `8000.0` are whole.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, low: u64, high: u64) -> Option<Located<T>> {
        let number = match self.value {
            Value::NumberLit(literal) => whole(literal.value, low..=high),
            _ => {
                self.wrong(Shape::Integer(low, high));
                return None;
            }
        };
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(self.document.located(number, self.value)),
            None => {
                self.fault(format!("must be {}", Shape::Integer(low, high)));
                None
            }
        }
    }

    /// A TCP port.
    pub(super) fn port(&mut self) -> Option<Located<u16>> {
        self.integer(1, 65_535)
    }

    /// A text that passes `check`, whose error is the cause.
    pub(super) fn text_with(&mut self, check: impl Fn(&str) -> Result<(), String>) -> Option<Located<String>> {
        let Value::StringLit(literal) = self.value else {
            self.wrong(Shape::Text);
            return None;
        };
        match check(&literal.value) {
            Ok(()) => Some(self.document.located(literal.value.to_string(), self.value)),
            Err(cause) => {
                self.document.entry_fault(&self.at, &literal.value, self.value, cause);
                None
            }
        }
    }

    /// A text that is neither empty nor holds control characters.
    pub(super) fn text(&mut self) -> Option<Located<String>> {
        self.text_with(check_plain)
    }

    /// The elements of a list; `null` is an empty one.
    pub(super) fn elements(&mut self, shape: Shape) -> &'n [Value<'t>] {
        match self.value {
            Value::Array(array) => &array.elements,
            Value::NullKeyword(_) => &[],
            _ => {
                self.wrong(shape);
                &[]
            }
        }
    }

    /// What `read` makes of each element. An element of a wrong type is named by its number.
    pub(super) fn each<T>(&mut self, shape: Shape, mut read: impl FnMut(&mut Field<'_, 'n, 't>) -> Option<T>) -> Vec<T> {
        let elements = self.elements(shape);
        let mut out = Vec::with_capacity(elements.len());
        for (number, element) in elements.iter().enumerate() {
            let at = if matches!(element, Value::StringLit(_)) { self.at.clone() } else { format!("{}[{number}]", self.at) };
            out.extend(read(&mut self.child(at, element)));
        }
        out
    }

    fn texts_with(&mut self, shape: Shape, check: impl Fn(&str) -> Result<(), String>) -> Vec<Located<String>> {
        self.each(shape, |element| element.text_with(|text| check_plain(text).and_then(|()| check(text))))
    }

    /// A list of texts.
    pub(super) fn texts(&mut self) -> Vec<Located<String>> {
        self.texts_with(Shape::Texts, |_| Ok(()))
    }

    /// A list of domain entries.
    pub(super) fn domains(&mut self, list: DomainList) -> Vec<Located<String>> {
        self.texts_with(Shape::Domains(list), |text| entry::check_domain(text, list))
    }

    /// A list of addresses and CIDR blocks.
    pub(super) fn addresses(&mut self) -> Vec<Located<String>> {
        self.texts_with(Shape::Addresses, entry::check_address)
    }

    /// A list of HTTP header names.
    pub(super) fn header_names(&mut self) -> Vec<Located<String>> {
        self.texts_with(Shape::HeaderNames, entry::check_header_name)
    }

    /// A list of path entries.
    pub(super) fn paths(&mut self) -> Vec<Located<PathEntry>> {
        self.each(Shape::Paths, |element| element.path())
    }

    /// A text, or `{ "path": …, "literal": … }` with both keys.
    fn path(&mut self) -> Option<Located<PathEntry>> {
        if let Value::Object(_) = self.value {
            return self.path_object();
        }
        let text = self.text_with(|text| entry::check_path(text, false))?;
        Some(Located::new(PathEntry { text: text.value, literal: false }, text.origin))
    }

    fn path_object(&mut self) -> Option<Located<PathEntry>> {
        let (mut path, mut literal) = (None, None);
        self.walk(Table::PathEntry, |part, key| match key.name {
            "literal" => literal = part.boolean(),
            _ => path = Some(part.text_with(|_| Ok(()))),
        });
        let literal = self.required(literal.is_some(), "literal").then_some(literal)??.value;
        let text = self.required(path.is_some(), "path").then_some(path)???;
        match entry::check_path(&text.value, literal) {
            Ok(()) => Some(Located::new(PathEntry { text: text.value, literal }, text.origin)),
            Err(cause) => {
                self.document.entry_fault(&self.at, &text.value, self.value, cause);
                None
            }
        }
    }

    /// Notes where a key is missing, and returns whether it is there.
    pub(super) fn required(&mut self, is_there: bool, name: &str) -> bool {
        if !is_there {
            self.fault(format!("\"{name}\" is missing"));
        }
        is_there
    }

    /// The properties of an object, each name once.
    pub(super) fn properties(&mut self, shape: Shape) -> Vec<&'n ObjectProp<'t>> {
        let Value::Object(object) = self.value else {
            self.wrong(shape);
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let (first, again): (Vec<_>, Vec<_>) = object.properties.iter().partition(|property| seen.insert(property.name.as_str()));
        for property in again {
            self.document.fault(&self.below(property.name.as_str()), &property.name, "the key stands here for the second time");
        }
        first
    }

    /// An object of texts. Where an entry is located is where its name stands.
    pub(super) fn text_map(&mut self) -> BTreeMap<String, Located<String>> {
        let mut out = BTreeMap::new();
        for (name, property) in self.named_properties(Shape::TextMap) {
            let text = self.child(self.below(&name), &property.value).text();
            out.extend(text.map(|text| (name, self.document.located(text.value, &property.name))));
        }
        out
    }

    /// An object of lists of texts.
    pub(super) fn texts_map(&mut self) -> Vec<Located<(String, Vec<String>)>> {
        let mut out = Vec::new();
        for (name, property) in self.named_properties(Shape::TextsMap) {
            let texts = self.child(self.below(&name), &property.value).texts();
            let texts = texts.into_iter().map(|text| text.value).collect();
            out.push(self.document.located((name, texts), &property.name));
        }
        out
    }

    /// Properties whose names are for the user to choose.
    fn named_properties(&mut self, shape: Shape) -> Vec<(String, &'n ObjectProp<'t>)> {
        let mut out = Vec::new();
        for property in self.properties(shape) {
            let name = property.name.as_str();
            match check_plain(name) {
                Ok(()) => out.push((name.to_owned(), property)),
                Err(cause) => self.document.entry_fault(&self.at, name, &property.name, cause),
            }
        }
        out
    }

    /// Hands each known key of an object to `read`; unknown ones are faults.
    pub(super) fn walk(&mut self, table: Table, mut read: impl FnMut(&mut Field<'_, 'n, 't>, &'static Key)) {
        for property in self.properties(Shape::Object(table)) {
            let name = property.name.as_str();
            match table.key(name) {
                Some(key) => read(&mut self.child(self.below(name), &property.value), key),
                None => self.document.fault_with(&self.below(name), &property.name, || unknown(table, name)),
            }
        }
    }

    /// Reads an object of keys into the settings.
    pub(super) fn settings(&mut self, table: Table, settings: &mut Settings) {
        self.walk(table, |field, key| field.handle(key, settings));
    }

    fn handle(&mut self, key: &Key, settings: &mut Settings) {
        match key.handling {
            Handling::Served(Reader(read)) => read(self, settings),
            Handling::Part => self.check(key.shape),
            Handling::Ignored => {}
            Handling::Said(why) => {
                self.check(key.shape);
                self.document.remark(self.value, format!("{} has no effect: {why}", self.at));
            }
            Handling::Refused(why) => self.fault(format!("cannot be served yet: {why}")),
            Handling::TrueRefused(why) => {
                if self.boolean().is_some_and(|set| set.value) {
                    self.fault(format!("cannot be served yet: {why}"));
                }
            }
        }
    }

    /// Checks the type of a value that has no effect.
    pub(super) fn check(&mut self, shape: Shape) {
        match shape {
            Shape::Any => {}
            Shape::Bool => drop(self.boolean()),
            Shape::Text => drop(self.text_with(check_controls)),
            Shape::AbsolutePath => drop(self.text_with(entry::check_absolute)),
            Shape::Integer(low, high) => drop(self.integer::<u64>(low, high)),
            Shape::OneOf(words) => drop(self.one_of(words)),
            Shape::Texts => drop(self.texts()),
            Shape::Paths => drop(self.paths()),
            Shape::Domains(list) => drop(self.domains(list)),
            Shape::Addresses => drop(self.addresses()),
            Shape::HeaderNames => drop(self.header_names()),
            Shape::MachNames => drop(self.texts_with(shape, entry::check_mach_name)),
            Shape::TextMap => drop(self.text_map()),
            Shape::TextsMap => drop(self.texts_map()),
            Shape::Object(table) => self.walk(table, |part, key| part.check(key.shape)),
            Shape::Objects(table) => drop(self.each(shape, |element| -> Option<()> {
                element.check(Shape::Object(table));
                None
            })),
        }
    }

    /// One of some words.
    pub(super) fn one_of(&mut self, words: &'static [&'static str]) -> Option<Located<String>> {
        let listed = |text: &str| if words.contains(&text) { Ok(()) } else { Err(format!("must be {}", Shape::OneOf(words))) };
        self.text_with(listed)
    }

    fn below(&self, name: &str) -> String {
        if self.at.is_empty() { shown(name) } else { format!("{}.{}", self.at, shown(name)) }
    }
}

/// The number that a literal stands for, where it is whole and in the range.
fn whole(literal: &str, range: RangeInclusive<u64>) -> Option<u64> {
    let number: f64 = literal.parse().ok()?;
    let truncated = number as u64;
    (number.fract() == 0.0 && number >= 0.0 && range.contains(&truncated)).then_some(truncated)
}

fn unknown(table: Table, name: &str) -> String {
    let place = if table == Table::Root { String::new() } else { format!(" in {}", table.path()) };
    let hint = table.nearest(name).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
    format!("unknown key {}{place}{hint}", quoted(name))
}
