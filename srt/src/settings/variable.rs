//! `${NAME}` and `${NAME:-default}` in path entries.
//!
//! Only the grammar is here: the values come from the caller's environment, which the policy stage is given and this one is not.

use super::text::is_variable_name;

/// A part of a path entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// Stands for the value of a variable.
    Variable {
        /// Its name.
        name: &'a str,
        /// Taken where the variable is not set or empty; it may start with `~`.
        default: Option<&'a str>,
    },
}

/// Splits a path entry that is not literal. The error is the cause in words. A `$` without a brace is plain text.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after.split_once('}').ok_or("a ${ is not closed")?;
        out.extend((!before.is_empty()).then_some(Piece::Text(before)));
        out.push(variable(inside)?);
        rest = behind;
    }
    out.extend((!rest.is_empty()).then_some(Piece::Text(rest)));
    Ok(out)
}

fn variable(inside: &str) -> Result<Piece<'_>, String> {
    if inside.contains("${") {
        return Err("a ${ stands inside another".into());
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_variable_name(name) {
        return Err("a ${ is not followed by the name of a variable; the forms are ${NAME} and ${NAME:-default}".into());
    }
    Ok(Piece::Variable { name, default })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_between_texts() {
        let home = Piece::Variable { name: "CARGO_HOME", default: Some("~/.cargo") };
        assert_eq!(pieces("${CARGO_HOME:-~/.cargo}/registry"), Ok(vec![home, Piece::Text("/registry")]));
        let x = Piece::Variable { name: "X", default: None };
        assert_eq!(pieces("a${X}${X}"), Ok(vec![Piece::Text("a"), x, x]));
        assert_eq!(pieces("${X:-}"), Ok(vec![Piece::Variable { name: "X", default: Some("") }]));
    }

    #[test]
    fn a_dollar_alone_is_text() {
        assert_eq!(pieces("$HOME/$"), Ok(vec![Piece::Text("$HOME/$")]));
        assert_eq!(pieces("a}"), Ok(vec![Piece::Text("a}")]));
    }

    #[test]
    fn malformed_variables_are_refused() {
        for text in ["${", "a/${X", "${}", "${1X}", "${X-y}", "${X:+y}", "${ X}", "${A:-${B}}", "${A:-${B"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
