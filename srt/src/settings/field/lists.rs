//! Fields that hold lists.

use jsonc_parser::ast::Value;

use super::Field;
use crate::policy::{DomainList, Located};
use crate::settings::entry;
use crate::settings::keys::{Shape, Table};
use crate::settings::model::PathEntry;
use crate::settings::text::check_plain;

impl<'n, 't> Field<'_, 'n, 't> {
    /// The elements of a list; `null` is an empty one.
    pub(in crate::settings) fn elements(&mut self, shape: Shape) -> &'n [Value<'t>] {
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
    pub(in crate::settings) fn each<T>(&mut self, shape: Shape, mut read: impl FnMut(&mut Field<'_, 'n, 't>) -> Option<T>) -> Vec<T> {
        let elements = self.elements(shape);
        let mut out = Vec::with_capacity(elements.len());
        for (number, element) in elements.iter().enumerate() {
            let at = if matches!(element, Value::StringLit(_)) { self.at.clone() } else { format!("{}[{number}]", self.at) };
            out.extend(read(&mut self.child(at, element)));
        }
        out
    }

    pub(super) fn texts_with(&mut self, shape: Shape, check: impl Fn(&str) -> Result<(), String>) -> Vec<Located<String>> {
        self.each(shape, |element| element.text_with(|text| check_plain(text).and_then(|()| check(text))))
    }

    /// A list of texts.
    pub(in crate::settings) fn texts(&mut self) -> Vec<Located<String>> {
        self.texts_with(Shape::Texts, |_| Ok(()))
    }

    /// A list of domain entries.
    pub(in crate::settings) fn domains(&mut self, list: DomainList) -> Vec<Located<String>> {
        self.texts_with(Shape::Domains(list), |text| entry::check_domain(text, list))
    }

    /// A list of addresses and CIDR blocks.
    pub(in crate::settings) fn addresses(&mut self) -> Vec<Located<String>> {
        self.texts_with(Shape::Addresses, entry::check_address)
    }

    /// A list of HTTP header names.
    pub(in crate::settings) fn header_names(&mut self) -> Vec<Located<String>> {
        self.texts_with(Shape::HeaderNames, entry::check_header_name)
    }

    /// A list of Mach service names.
    pub(in crate::settings) fn mach_names(&mut self) -> Vec<Located<String>> {
        self.texts_with(Shape::MachNames, entry::check_mach_name)
    }

    /// A list of TCP ports.
    pub(in crate::settings) fn ports(&mut self) -> Vec<Located<u16>> {
        self.each(Shape::Ports, |element| element.port())
    }

    /// A list of path entries.
    pub(in crate::settings) fn paths(&mut self) -> Vec<Located<PathEntry>> {
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
}
