//! Fields that hold objects.

use std::collections::{BTreeMap, HashSet};

use jsonc_parser::ast::{ObjectProp, Value};

use super::Field;
use crate::policy::Located;
use crate::settings::keys::{Key, Shape, Table};
use crate::settings::text::{check_plain, quoted, shown};

impl<'n, 't> Field<'_, 'n, 't> {
    /// Notes where a key is missing, and returns whether it is there.
    pub(in crate::settings) fn required(&mut self, is_there: bool, name: &str) -> bool {
        if !is_there {
            self.fault(format!("\"{name}\" is missing"));
        }
        is_there
    }

    /// The properties of an object, each name once.
    pub(in crate::settings) fn properties(&mut self, shape: Shape) -> Vec<&'n ObjectProp<'t>> {
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
    pub(in crate::settings) fn text_map(&mut self) -> BTreeMap<String, Located<String>> {
        let mut out = BTreeMap::new();
        for (name, property) in self.named_properties(Shape::TextMap) {
            let text = self.child(self.below(&name), &property.value).text();
            out.extend(text.map(|text| (name, self.document.located(text.value, &property.name))));
        }
        out
    }

    /// An object of lists of texts.
    pub(in crate::settings) fn texts_map(&mut self) -> Vec<Located<(String, Vec<String>)>> {
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
    pub(in crate::settings) fn walk(&mut self, table: Table, mut read: impl FnMut(&mut Field<'_, 'n, 't>, &'static Key)) {
        for property in self.properties(Shape::Object(table)) {
            let name = property.name.as_str();
            match table.key(name) {
                Some(key) => read(&mut self.child(self.below(name), &property.value), key),
                None => self.document.fault_with(&self.below(name), &property.name, || unknown(table, name)),
            }
        }
    }

    fn below(&self, name: &str) -> String {
        if self.at.is_empty() { shown(name) } else { format!("{}.{}", self.at, shown(name)) }
    }
}

fn unknown(table: Table, name: &str) -> String {
    let place = if table == Table::Root { String::new() } else { format!(" in {}", table.path()) };
    let hint = table.nearest(name).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
    format!("unknown key {}{place}{hint}", quoted(name))
}
