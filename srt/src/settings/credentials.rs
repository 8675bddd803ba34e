//! The lists in `credentials`. Only the mode `deny` can be served.

use super::entry;
use super::field::Field;
use super::keys::{Shape, Table};
use super::text::{check_plain, is_variable_name};
use crate::policy::Located;

/// `files`: paths that may not be read.
pub(super) fn files(field: &mut Field<'_, '_, '_>) -> Vec<Located<String>> {
    field.each(Shape::Objects(Table::CredentialFile), |element| {
        denied(element, Table::CredentialFile, "path", |path| entry::check_path(path, false))
    })
}

/// `envVars`: names that are taken out of the environment.
pub(super) fn variables(field: &mut Field<'_, '_, '_>) -> Vec<Located<String>> {
    field.each(Shape::Objects(Table::CredentialVariable), |element| denied(element, Table::CredentialVariable, "name", check_variable))
}

fn check_variable(name: &str) -> Result<(), String> {
    check_plain(name)?;
    if is_variable_name(name) { Ok(()) } else { Err("a variable is named with letters, digits and _, and no digit in front".into()) }
}

/// What the key `subject` of one entry says, where its mode is `deny`.
fn denied(
    entry: &mut Field<'_, '_, '_>,
    table: Table,
    subject: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> Option<Located<String>> {
    let (mut what, mut mode) = (None, None);
    entry.walk(table, |part, key| match key.name {
        name if name == subject => what = Some(part.text_with(&check)),
        "mode" => mode = Some(mode_is_deny(part, key.shape)),
        _ => {
            part.check(key.shape);
            part.document.remark(part.value, format!("{} has no effect: it only describes how to mask", part.at));
        }
    });
    let is_complete = [entry.required(what.is_some(), subject), entry.required(mode.is_some(), "mode")] == [true, true];
    if is_complete && mode == Some(true) { what.flatten() } else { None }
}

fn mode_is_deny(mode: &mut Field<'_, '_, '_>, shape: Shape) -> bool {
    let Shape::OneOf(words) = shape else { return false };
    let Some(word) = mode.one_of(words) else { return false };
    if word.value == "mask" {
        mode.fault("\"mask\" cannot be served yet: secrets are denied, not masked");
    }
    word.value == "deny"
}
