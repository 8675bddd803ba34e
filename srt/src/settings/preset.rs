//! Embedded presets: `profiles/*.json`.

/// Name and text of each.
const PRESETS: &[(&str, &str)] = &[
    ("default", include_str!("../../../profiles/default.json")),
    ("go", include_str!("../../../profiles/go.json")),
    ("node", include_str!("../../../profiles/node.json")),
    ("python", include_str!("../../../profiles/python.json")),
    ("rust", include_str!("../../../profiles/rust.json")),
];

/// Names of all presets, in alphabetical order.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The text of a preset, in the format of a settings file.
pub fn preset_text(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// What a preset is for, in one line: its first comment.
pub fn preset_summary(name: &str) -> Option<&'static str> {
    let comment = preset_text(name)?.lines().find_map(|line| line.trim_start().strip_prefix("//"))?;
    Some(comment.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_listed_in_order_and_described() {
        let names: Vec<_> = preset_names().collect();
        assert!(names.is_sorted());
        for name in names {
            assert!(preset_summary(name).is_some_and(|summary| summary.len() > 20), "{name}");
        }
        assert_eq!(preset_text("nope"), None);
        assert_eq!(preset_summary("nope"), None);
    }
}
