use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;

fn path(text: &str) -> AbsPath {
    AbsPath::new(text).unwrap()
}

fn matches(pattern: &str, text: &str) -> bool {
    Glob::compile(pattern).matches(&path(text))
}

#[test]
fn star_stays_within_one_directory() {
    assert!(matches("/a/*.pem", "/a/x.pem"));
    assert!(matches("/a/*.pem", "/a/.pem"));
    assert!(!matches("/a/*.pem", "/a/b/x.pem"));
}

#[test]
fn double_star_crosses_directories() {
    assert!(matches("/a/**.pem", "/a/b/c.pem"));
    assert!(matches("/a/b**", "/a/bc/d/e"));
    assert!(!matches("/a/**.pem", "/b/c.pem"));
}

#[test]
fn double_star_slash_is_zero_or_more_directories() {
    for text in ["/a/.env", "/a/b/.env", "/a/b/c/.env"] {
        assert!(matches("/a/**/.env", text), "{text}");
    }
    assert!(!matches("/a/**/.env", "/a/x.env"));
    assert!(!matches("/a/**/.env", "/a/.env/x"));
}

#[test]
fn question_mark_is_one_character_of_any_width() {
    assert!(matches("/?", "/é"));
    assert!(!matches("/?", "/éé"));
    assert!(!matches("/a?b", "/a/b"));
}

#[test]
fn bytes_that_are_no_text_match_wildcards_only() {
    let odd = AbsPath::new(Path::new(OsStr::from_bytes(b"/k\xff\xfey"))).unwrap();
    assert!(Glob::compile("/k??y").matches(&odd));
    assert!(Glob::compile("/k*").matches(&odd));
    assert!(!Glob::compile("/k?y").matches(&odd));
    assert!(!Glob::compile("/k\u{fffd}\u{fffd}y").matches(&odd));
    assert!(!Glob::compile("/k[\u{0}-\u{10ffff}][\u{0}-\u{10ffff}]y").matches(&odd));
}

#[test]
fn a_directory_before_a_pattern_may_hold_bytes_that_are_no_text() {
    let directory = AbsPath::new(Path::new(OsStr::from_bytes(b"/w/\xff[x]"))).unwrap();
    let glob = Glob::below(&directory, "*.pem");
    assert!(glob.matches(&directory.join("a.pem")) && glob.could_match_below(&directory) && glob.could_cover(&directory.join("a.pem")));
    assert_eq!(glob.literal_base(), directory);
    for other in ["/w/\u{fffd}[x]/a.pem", "/w/?[x]/a.pem", "/w/x/a.pem"] {
        assert!(!glob.matches(&path(other)), "{other}");
    }
    let back: Glob = serde_json::from_str(&serde_json::to_string(&glob).unwrap()).unwrap();
    assert_eq!(back, glob);
}

#[test]
fn a_pattern_may_lead_back_to_its_directory() {
    for (base, pattern) in [("/w/a", "*/.."), ("/w/a", "/**"), ("/", "*/.."), ("/", "**/../**")] {
        let glob = Glob::below(&path(base), pattern);
        assert!(glob.matches(&path(base)), "{pattern} below {base}");
        assert_eq!((glob.literal_base(), glob.as_str()), (path(base), base));
    }
}

#[test]
fn a_newline_in_a_name_does_not_hide_it() {
    assert!(matches("/a/**/key", "/a/b\nc/key"));
}

#[test]
fn sets_know_members_and_ranges_only() {
    assert!(matches("/[a-c]x", "/bx"));
    assert!(!matches("/[a-c]x", "/dx"));
    assert!(matches("/[!a]", "/!") && matches("/[!a]", "/a") && !matches("/[!a]", "/b"));
    assert!(matches("/[^a]", "/^") && !matches("/[^a]", "/b"));
    assert!(matches("/[a-]", "/-") && matches("/[-a]", "/-"));
    assert!(matches("/[*]", "/*") && !matches("/[*]", "/x"));
    assert!(matches("/a[+-9]b", "/a/b"));
}

#[test]
fn broken_sets_are_text() {
    assert!(matches("/[]", "/[]") && matches("/[]a]", "/[]a]"));
    assert!(matches("/[user-id]", "/[user-id]") && !matches("/[user-id]", "/u"));
    assert!(matches("/a[b", "/a[b") && matches("/a]b", "/a]b"));
    assert!(matches("/a[*", "/a[xyz"));
}

#[test]
fn braces_escapes_and_regex_characters_are_text() {
    for text in ["/{a,b}", "/a.b", "/a+(b)$", "/a\\b", "/a|b^"] {
        assert!(matches(text, text), "{text}");
        assert!(!is_glob(text), "{text}");
    }
    assert!(!matches("/a.b", "/axb"));
}

#[test]
fn case_counts() {
    assert!(!matches("/*.PEM", "/a.pem"));
}

#[test]
fn a_trailing_double_star_names_the_directory() {
    assert!(matches("/a/b/**", "/a/b"));
    assert!(!matches("/a/b/**", "/a/b/c"));
    assert!(matches("/**", "/"));
    assert!(matches("/a/**/**", "/a"));
    assert!(matches("/*/x/**", "/q/x"));
}

#[test]
fn tokens_that_count() {
    for text in ["*", "a?", "[ab]", "**/.env", "a/**/b", "x[a-b]/**"] {
        assert!(is_glob(text), "{text}");
    }
    for text in ["", "a", "[]", "[b-a]", "a[b", "a]b", "a/**", "**", "/**"] {
        assert!(!is_glob(text), "{text}");
    }
}

#[test]
fn the_subtree_suffix_leaves_a_directory() {
    assert_eq!(strip_subtree("src/**"), "src");
    assert_eq!(strip_subtree("**"), ".");
    assert_eq!(strip_subtree("**/**"), ".");
    assert_eq!(strip_subtree("/**"), "/");
    assert_eq!(strip_subtree(""), "");
    assert_eq!(strip_subtree("a**"), "a**");
}

#[test]
fn spelling_of_a_pattern_does_not_matter() {
    for pattern in ["/a//*.x", "/a/./*.x", "/b/../a/*.x", "/a/*.x/"] {
        assert!(matches(pattern, "/a/1.x"), "{pattern}");
    }
}

#[test]
fn the_base_is_the_directory_before_the_first_wildcard() {
    for (pattern, base) in [
        ("/a/b*/c", "/a"),
        ("/a/b/*.x", "/a/b"),
        ("/*", "/"),
        ("/a**/b", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/**", "/a/b"),
        ("/a/[x]", "/a"),
        ("/a/[]/c?", "/a/[]"),
    ] {
        assert_eq!(Glob::compile(pattern).literal_base(), path(base), "{pattern}");
    }
}

#[test]
fn pruning_keeps_every_directory_above_a_match() {
    let glob = Glob::compile("/a/*/secret/**/k?y");
    for dir in ["/", "/a", "/a/b", "/a/b/secret", "/a/b/secret/deep/er"] {
        assert!(glob.could_match_below(&path(dir)), "{dir}");
    }
    for dir in ["/b", "/a/b/c", "/ab"] {
        assert!(!glob.could_match_below(&path(dir)), "{dir}");
    }
    assert!(!Glob::compile("/a/*").could_match_below(&path("/a/b")));
}

#[test]
fn many_stars_take_no_exponential_time() {
    let pattern = format!("/{}b", "a*".repeat(200));
    let deep = format!("/{}b", "**a?".repeat(200));
    let text = path(&format!("/{}", "a".repeat(4000)));
    // A backtracking matcher would need longer than the age of the universe.
    assert!(!Glob::compile(&pattern).matches(&text));
    assert!(!Glob::compile(&deep).matches(&text));
}

/// The definition of the tokens, tried one by one: exponential, and obviously right.
fn naive(pattern: &[char], text: &[char]) -> bool {
    let splits = || 0..=text.len();
    match pattern {
        [] => text.is_empty(),
        ['*', '*', '/', rest @ ..] => naive(rest, text) || splits().skip(1).any(|at| text[at - 1] == '/' && naive(rest, &text[at..])),
        ['*', '*', rest @ ..] if rest.first() != Some(&'*') => splits().any(|at| naive(rest, &text[at..])),
        ['*', rest @ ..] => splits().take_while(|at| !text[..*at].contains(&'/')).any(|at| naive(rest, &text[at..])),
        ['?', rest @ ..] => text.first().is_some_and(|c| *c != '/') && naive(rest, &text[1..]),
        ['[', 'a', '-', 'b', ']', rest @ ..] => text.first().is_some_and(|c| "ab".contains(*c)) && naive(rest, &text[1..]),
        [literal, rest @ ..] => text.first() == Some(literal) && naive(rest, &text[1..]),
    }
}

/// A fixed sequence of numbers (Knuth's MMIX generator), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn pick(&mut self, pieces: &[&str], most: usize) -> String {
        (0..=self.below(most)).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

#[test]
fn matching_agrees_with_the_definition() {
    let mut numbers = Numbers(7);
    let mut hits = 0;
    for _ in 0..60_000 {
        // A token follows each run of stars, so that three stars in a row, which the definition leaves open, do not come up.
        let pattern = format!("/{}", numbers.pick(&["a", "b", "/", "*a", "**b", "**/", "?", "[a-b]", "*/b"], 6));
        let text = path(&format!("/{}", numbers.pick(&["a", "b", "c", "/a", "/b"], 7)));
        let glob = Glob::compile(&pattern);
        let characters: Vec<char> = glob.as_str().chars().collect();
        let expected = naive(&characters, &text.to_string().chars().collect::<Vec<_>>());
        assert_eq!(glob.matches(&text), expected, "{pattern} on {text}");
        hits += usize::from(expected);
    }
    assert!(hits > 1_000, "the sample holds matches: {hits}");
}

#[test]
fn pruning_never_loses_a_match() {
    let mut numbers = Numbers(11);
    for _ in 0..30_000 {
        let glob = Glob::compile(&format!("/{}", numbers.pick(&["a", "/", "*", "**b", "**/", "?", "[+-b]"], 6)));
        let text = path(&format!("/{}", numbers.pick(&["a", "b", "/a", "/b"], 7)));
        if glob.matches(&text) {
            for dir in text.ancestors().skip(1) {
                assert!(glob.could_match_below(&dir), "{} below {dir}, because of {text}", glob.as_str());
            }
            assert!(text.is_within(&glob.literal_base()), "{} and {text}", glob.as_str());
        }
    }
}
