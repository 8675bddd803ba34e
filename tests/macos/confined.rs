//! Never run by us: there was no Mac.

use crate::program::{Area, text};

#[test]
fn what_is_not_a_write_root_cannot_be_written() {
    let area = Area::new();
    std::fs::create_dir(area.path("open")).unwrap();
    let shell = "echo text > open/file && ! echo text > shut";
    let output = area.program(&["sh", "-c", shell], r#"{"filesystem": {"allowWrite": ["open"]}}"#).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(area.path("open/file").exists() && !area.path("shut").exists());
}

#[test]
fn what_may_not_be_read_is_refused_and_told_of() {
    let area = Area::new();
    std::fs::write(area.path("secret"), "secret").unwrap();
    let output = area.program(&["sh", "-c", "sleep 1; cat secret"], r#"{"filesystem": {"denyRead": ["secret"]}}"#).output().unwrap();
    assert!(!output.status.success() && !text(&output.stdout).contains("secret"));
    assert!(text(&output.stderr).contains("Operation not permitted"), "{}", text(&output.stderr));
}

#[test]
fn no_host_is_reached_but_through_the_proxy() {
    let area = Area::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = area.run(&format!("nc -z 127.0.0.1 {port}")).output().unwrap();
    assert!(!output.status.success());
    assert!(
        std::process::Command::new("nc").args(["-z", "127.0.0.1", &port.to_string()]).status().unwrap().success(),
        "outside it is there"
    );
}
