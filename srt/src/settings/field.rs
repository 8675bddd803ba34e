//! The value of one key, read as the type that the key has.
//!
//! Each reader returns what could be read; what could not is a fault of the document, and reading goes on, so that a user sees all
//! faults at once.

mod lists;
mod objects;

use std::ops::RangeInclusive;

use jsonc_parser::ast::Value;

use super::document::{Document, kind};
use super::entry;
use super::keys::{Handling, Key, Reader, Shape, Table};
use super::model::Settings;
use super::text::{check_controls, check_plain};
use crate::policy::Located;

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

    /// Reads an object of keys into the settings.
    pub(super) fn settings(&mut self, table: Table, settings: &mut Settings) {
        self.walk(table, |field, key| field.handle(key, settings));
    }

    fn handle(&mut self, key: &Key, settings: &mut Settings) {
        match key.handling {
            Handling::Served(Reader(read)) => read(self, settings),
            Handling::OnMacOs(Reader(read), why) => {
                read(self, settings);
                let remark = self.document.located(format!("{} has no effect here: {why}", self.at), self.value);
                settings.macos_remarks.push(remark);
            }
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
            Shape::Ports => drop(self.ports()),
            Shape::MachNames => drop(self.mach_names()),
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
}

/// The number that a literal stands for, where it is whole and in the range.
fn whole(literal: &str, range: RangeInclusive<u64>) -> Option<u64> {
    let number: f64 = literal.parse().ok()?;
    let truncated = number as u64;
    (number.fract() == 0.0 && number >= 0.0 && range.contains(&truncated)).then_some(truncated)
}
