//! Byte offsets to lines and columns.

use crate::policy::Position;

/// A column is counted from the last mark before it, so that a file of one long line costs no more than any other.
const MARK_EVERY: usize = 1024;

/// Marks in a text: every start of a line, and one at least every [`MARK_EVERY`] bytes.
pub(super) struct Positions<'t> {
    text: &'t str,
    marks: Vec<(usize, Position)>,
}

impl<'t> Positions<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut here = Position { line: 1, column: 1 };
        let mut marks = vec![(0, here)];
        let mut last = 0;
        for (offset, character) in text.char_indices() {
            if offset - last >= MARK_EVERY || (here.column == 1 && here.line > 1) {
                marks.push((offset, here));
                last = offset;
            }
            here = after(here, character);
        }
        Positions { text, marks }
    }

    /// The place of the character at `offset`; offsets past the end are the end.
    pub(super) fn at(&self, offset: usize) -> Position {
        let mark = self.marks.partition_point(|(start, _)| *start <= offset).saturating_sub(1);
        let (start, mut here) = self.marks[mark];
        for (_, character) in self.text[start..].char_indices().take_while(|(at, _)| start + at < offset) {
            here = after(here, character);
        }
        here
    }
}

/// The place behind `character`.
fn after(here: Position, character: char) -> Position {
    match character {
        '\n' => Position { line: here.line + 1, column: 1 },
        _ => Position { column: here.column + 1, ..here },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, offset: usize) -> (u32, u32) {
        let position = Positions::new(text).at(offset);
        (position.line, position.column)
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(at("\"äöü\": 1", 8), (1, 6));
        assert_eq!(at("a\r\nb", 3), (2, 1));
        assert_eq!(at("a\n\n\nb", 4), (4, 1));
        assert_eq!(at("", 0), (1, 1));
        assert_eq!(at("a\n", 2), (2, 1));
        assert_eq!(at("ab", 99), (1, 3));
    }

    #[test]
    fn marks_agree_with_counting() {
        let text = format!("{}\n{}é\nx", "é".repeat(3000), "y".repeat(5000));
        let positions = Positions::new(&text);
        let (mut line, mut column) = (1, 1);
        for (offset, character) in text.char_indices() {
            assert_eq!(positions.at(offset), Position { line, column }, "offset {offset}");
            (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
    }
}
