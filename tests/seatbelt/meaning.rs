//! What the evaluator itself takes a profile to mean.

use crate::evaluate::Request;
use crate::expression::{Expression, Units};
use crate::profile::Profile;

fn profile(rules: &str) -> Profile {
    Profile::new(&format!("(version 1)\n(deny default (with message \"d\"))\n{rules}"), Units::Bytes)
}

#[test]
fn the_last_rule_of_an_operation_decides() {
    let profile =
        profile(r#"(allow file-write* (subpath "/w")) (deny file-write* (literal "/w/x")) (allow file-write* (literal "/w/x/y"))"#);
    let may = |path: &str| profile.may("file-write-data", path.as_bytes());
    assert_eq!(["/w", "/w/x", "/w/x/y", "/w/x/z", "/wx", "/"].map(may), [true, false, true, true, false, false]);
}

#[test]
fn a_rule_on_the_operation_stands_above_every_rule_on_its_family() {
    let profile = profile(r#"(deny file-write-unlink (literal "/w/x")) (allow file-write* (subpath "/w"))"#);
    assert!(
        !profile.may("file-write-unlink", b"/w/x") && profile.may("file-write-unlink", b"/w/y") && profile.may("file-write-data", b"/w/x")
    );
}

#[test]
fn a_denial_tells_the_message_of_its_rule_and_the_default_its_own() {
    let profile = profile(r#"(allow file-read*) (deny file-read* (regex "^/s(/|$)") (with message "m"))"#);
    let message = |operation, path: &str| profile.answer(&Request { operation, path: Some(path.as_bytes()), ..Request::default() }).message;
    assert_eq!([message("file-read-data", "/s/x"), message("file-write-data", "/x")], ["m", "d"]);
}

#[test]
fn filters_are_combined_as_they_say() {
    let profile = profile(
        r#"(allow file-write* (require-all (subpath "/w") (require-not (literal "/w/x")) (require-any (vnode-type DIRECTORY) (vnode-type SYMLINK))))"#,
    );
    assert!(profile.may_as("file-write-create", b"/w/y", "DIRECTORY") && profile.may_as("file-write-create", b"/w/y", "SYMLINK"));
    assert!(!profile.may("file-write-create", b"/w/y") && !profile.may_as("file-write-create", b"/w/x", "DIRECTORY"));
}

#[test]
fn strings_hold_every_byte() {
    let profile = profile(r#"(allow file-read* (literal "/\"\\\x0a\xff;)"))"#);
    assert!(profile.may("file-read-data", b"/\"\\\n\xff;)"));
}

#[test]
fn addresses_are_those_of_the_side_that_is_named() {
    let profile = profile(r#"(allow network-outbound (remote ip "localhost:80")) (allow network-bind (local ip "*:*"))"#);
    let out = |remote| profile.answer(&Request { operation: "network-outbound", remote: Some(remote), ..Request::default() }).allowed;
    assert_eq!([out(("127.0.0.1", 80)), out(("::1", 80)), out(("127.0.0.1", 81)), out(("192.0.2.1", 80))], [true, true, false, false]);
    let bind = |local| profile.answer(&Request { operation: "network-bind", local: Some(local), ..Request::default() }).allowed;
    assert!(bind(("0.0.0.0", 1)) && !out(("0.0.0.0", 80)));
}

#[test]
fn expressions_match_as_their_signs_say() {
    for (expression, found, not_found) in [
        ("^/a/(.*/)?b(/|$)", &["/a/b", "/a/x/y/b", "/a/b/c"][..], &["/a/xb", "/a/bc", "/x/a/b"][..]),
        (r"^/a\.b$", &["/a.b"], &["/axb", "/a.bc"]),
        ("^/[^/]*$", &["/", "/a"], &["/a/b"]),
        ("^/([a-c]|x|y)+z?$", &["/ab", "/xyaz"], &["/d", "/"]),
        ("b", &["abc"], &["ac"]),
        ("^(/a|/b/c|/d)/e$", &["/a/e", "/b/c/e", "/d/e"], &["/b/e", "/e"]),
    ] {
        for units in Units::BOTH {
            let compiled = Expression::new(expression.as_bytes(), units);
            found.iter().for_each(|text| assert!(compiled.finds(text.as_bytes()), "{expression} {text}"));
            not_found.iter().for_each(|text| assert!(!compiled.finds(text.as_bytes()), "{expression} {text}"));
        }
    }
}

#[test]
fn a_dot_is_a_byte_or_a_character() {
    let finds = |units| Expression::new(b"^/.$", units).finds("/é".as_bytes());
    assert_eq!(Units::BOTH.map(finds), [false, true]);
}

#[test]
fn what_nobody_could_read_is_refused() {
    for broken in [
        "(allow)",
        "(allow file-read* (nonsense \"/x\"))",
        "(allow file-eat*)",
        "(allow file-read* (literal \"x\"))",
        ")",
        "(allow file-read* (regex \"a{2}\"))",
    ] {
        let read = std::panic::catch_unwind(|| profile(broken));
        assert!(read.is_err(), "{broken}");
    }
}
