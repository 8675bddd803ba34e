//! The text of a profile as nested lists.

/// Longest string that the system takes, in bytes (seen with `sandbox-exec`).
const MAX_STRING: usize = 1025;

/// A word, a string or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// `allow`, `file-read*`, `1`.
    Word(String),
    /// What stands between quotes, escapes resolved.
    Text(Vec<u8>),
    /// What stands between parentheses.
    List(Vec<Node>),
}

impl Node {
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Node::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Node::Text(bytes) => bytes,
            other => panic!("a string is wanted, not {other:?}"),
        }
    }

    pub(crate) fn list(&self) -> &[Node] {
        match self {
            Node::List(nodes) => nodes,
            other => panic!("a list is wanted, not {other:?}"),
        }
    }
}

/// Reads all of it; a profile that cannot be read is a failed test.
pub(crate) fn read(text: &str) -> Vec<Node> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    let mut nodes = Vec::new();
    while let Some(node) = reader.node() {
        nodes.push(node);
    }
    assert_eq!(reader.at, text.len(), "a parenthesis too many at byte {}", reader.at);
    nodes
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> u8 {
        let byte = self.peek().unwrap_or_else(|| panic!("the text ends in the middle"));
        self.at += 1;
        byte
    }

    /// The next node of this list; `None` at its end.
    fn node(&mut self) -> Option<Node> {
        loop {
            match self.peek()? {
                b';' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => break,
            }
        }
        match self.peek()? {
            b')' => None,
            b'(' => {
                self.at += 1;
                let mut nodes = Vec::new();
                while let Some(node) = self.node() {
                    nodes.push(node);
                }
                assert_eq!(self.next(), b')');
                Some(Node::List(nodes))
            }
            b'"' => Some(self.string()),
            _ => Some(self.plain()),
        }
    }

    fn plain(&mut self) -> Node {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-*_".contains(&byte)) {
            self.at += 1;
        }
        assert!(self.at > start, "unexpected byte {:?} at {}", self.peek().map(char::from), self.at);
        Node::Word(String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned())
    }

    fn string(&mut self) -> Node {
        self.at += 1;
        let start = self.at;
        let mut out = Vec::new();
        loop {
            match self.next() {
                b'"' => break,
                b'\\' => out.push(self.escape()),
                byte => out.push(byte),
            }
        }
        let written = self.at - start;
        assert!(written <= MAX_STRING, "a string of {written} bytes");
        Node::Text(out)
    }

    fn escape(&mut self) -> u8 {
        match self.next() {
            b'x' => {
                let digits = [self.next(), self.next()];
                let digits = std::str::from_utf8(&digits).expect("two digits");
                u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("\\x{digits} is no byte"))
            }
            byte @ (b'"' | b'\\') => byte,
            other => panic!("\\{} is not in use", char::from(other)),
        }
    }
}
