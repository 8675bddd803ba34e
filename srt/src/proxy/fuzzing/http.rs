//! Requests: whatever a client sends, upstream gets well-formed requests for allowed hosts only.

use super::world::{Got, Upstream, allowed, client, is_screened, run};
use crate::policy::Target;

/// All that a client ever sends.
pub(crate) fn http(data: &[u8]) {
    if data.len() > 8192 {
        return;
    }
    let (heard, got) = run(async {
        let upstream = Upstream::start();
        let (stream, heard) = client(data);
        crate::proxy::http::serve(upstream.context(), stream).await;
        (heard.await.expect("the client"), upstream.got().await)
    });
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&heard));
    let asked = String::from_utf8_lossy(data).matches("HTTP/1.").count();
    assert!(got.len() <= asked, "{got:?}");
    got.iter().for_each(is_allowed_and_clean);
}

fn is_allowed_and_clean(got: &Got) {
    assert!(!got.surplus, "{got:?}");
    let Some(head) = got.head.strip_suffix(b"\r\n\r\n") else { return };
    let shown = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let [method, uri, "HTTP/1.1"] = first.split(' ').collect::<Vec<_>>()[..] else { panic!("{shown}") };
    let fields: Vec<(String, &[u8])> = lines.map(field).collect();
    let hosts: Vec<_> = fields.iter().filter(|(name, _)| name == "host").map(|(_, value)| String::from_utf8_lossy(value)).collect();
    let [host] = &hosts[..] else { panic!("one Host: {shown}") };
    let target = if method == "CONNECT" {
        assert_eq!(uri, host.as_ref(), "{shown}");
        Target::parse(uri)
    } else {
        let authority = uri.strip_prefix("http://").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
        assert_eq!(authority, Some(host.as_ref()), "{shown}");
        Target::parse(host).or_else(|_| Target::parse(&format!("{host}:80")))
    };
    let target = target.unwrap_or_else(|_| panic!("a canonical target: {shown}"));
    assert!(allowed(&target), "{shown}");
    if method == "CONNECT" {
        is_screened(&got.rest, &target);
    }
    let count = |wanted: &str| fields.iter().filter(|(name, _)| name == wanted).count();
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{shown}");
    for (name, value) in &fields {
        assert!(!name.starts_with("proxy-") && !["keep-alive", "te", "trailer"].contains(&name.as_str()), "{shown}");
        assert!(name != "connection" || value.eq_ignore_ascii_case(b"upgrade"), "{shown}");
        assert!(!value.iter().any(|byte| matches!(byte, 0 | b'\r')), "{shown:?}");
    }
}

fn field(line: &[u8]) -> (String, &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or_else(|| panic!("a field: {:?}", String::from_utf8_lossy(line)));
    let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
    assert!(!name.is_empty() && !name.contains([' ', '\t']), "{name:?}");
    (name, line[colon + 1..].trim_ascii())
}
