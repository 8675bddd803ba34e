//! Questions about hosts, and policies that are replaced, through the proxy.

use super::*;
use crate::ask::{Answer, Asker, Remember};
use crate::policy::Host;

/// A proxy with somebody to ask, who gives these answers in turn and then goes away.
fn asked(policy: NetPolicy, answers: &[bool]) -> (Proxy, Rc<ProxyContext>) {
    let (asker, mut questions) = Asker::new();
    let asker = Rc::new(asker);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, events) = (listener.local_addr().unwrap(), EventSink::default());
    let context = Rc::new(ProxyContext::new(policy, events.clone()).asking(Some(asker.clone())));
    tokio::task::spawn_local(serve(listener, context.clone()));
    let answers = answers.to_vec();
    tokio::task::spawn_local(async move {
        for allow in answers {
            let Some(question) = questions.recv().await else { return };
            asker.answer(question.id, Answer { allow, remember: Remember::Once });
        }
        asker.close();
    });
    (Proxy { address, events }, context)
}

#[test]
fn every_protocol_asks_and_obeys() {
    run(async {
        let server = mirror_server().await;
        let (proxy, _) = asked(net_policy(&[], &[]), &[true, true, true, false, false, false]);
        let connect = format!("CONNECT {server} HTTP/1.1\r\n\r\n");
        let get = format!("GET http://{server}/ HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        let mut socks = vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1];
        socks.extend(server.port().to_be_bytes());
        for allowed in [true, false] {
            let mut client = proxy.connect().await;
            client.write_all(connect.as_bytes()).await.unwrap();
            assert_eq!(read_head(&mut client).await.starts_with("HTTP/1.1 200"), allowed);
            assert_eq!(proxy.talk(&get).await.starts_with("HTTP/1.1 200"), allowed);
            let mut client = proxy.connect().await;
            client.write_all(&socks).await.unwrap();
            assert_eq!(read_exactly(&mut client, 4).await[3], if allowed { 0 } else { 2 });
        }
        assert!(proxy.rules().iter().all(|(rule, _)| rule == "net.ask"));
        assert_eq!(proxy.events().len(), 3);
        assert!(proxy.events().iter().all(|event| event.allow.is_none() && event.reason == "user denied"));
    });
}

#[test]
fn without_an_answer_the_policy_denies_and_the_event_says_why() {
    run(async {
        let (proxy, context) = asked(net_policy(&[], &[]), &[]);
        tokio::task::yield_now().await;
        let answer = proxy.talk("CONNECT a.example:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 host is not on the allow list, and nobody can be asked"), "{answer}");
        let event = &proxy.events()[0];
        assert_eq!((event.rule.id.as_str(), event.allow.is_some()), ("net.default", true));
        assert!(!context.may_resolve(&Host::parse("a.example").unwrap()), "nobody is left");
    });
}

#[test]
fn what_a_rule_decides_is_not_asked_about() {
    run(async {
        let mut strict = network_settings(&[], &[]);
        strict.strict_allowlist = Some(crate::policy::Located::new(true, crate::policy::Origin::Flag("--test")));
        for policy in [net_policy(&[], &["a.example"]), net_policy(&[], &["*"]), NetPolicy::build(&strict).unwrap()] {
            let (proxy, context) = asked(policy, &[true]);
            assert!(proxy.talk("CONNECT a.example:443 HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 403 "));
            assert!(!context.may_resolve(&Host::parse("a.example").unwrap()));
        }
        let (_, context) = asked(net_policy(&[], &["a.example:80"]), &[true]);
        assert!(context.may_resolve(&Host::parse("a.example").unwrap()), "another port can be asked about");
    });
}

#[test]
fn a_new_policy_holds_from_the_next_attempt_on_and_open_tunnels_stay() {
    run(async {
        let server = echo_server().await;
        let (proxy, context) = asked(net_policy(&[&server.to_string()], &[]), &[]);
        let mut open = proxy.tunnel(server).await;
        context.replace_policy(net_policy(&[], &["*"]));
        assert!(proxy.talk(format!("CONNECT {server} HTTP/1.1\r\n\r\n")).await.starts_with("HTTP/1.1 403 "));
        open.write_all(b"still").await.unwrap();
        assert_eq!(read_exactly(&mut open, 5).await, b"still");
        context.replace_policy(net_policy(&[&server.to_string()], &[]));
        proxy.tunnel(server).await;
    });
}

/// A client keeps its connection to the proxy: every request on it is judged by the policy of its own moment.
#[test]
fn a_kept_connection_does_not_keep_the_old_policy() {
    run(async {
        let server = mirror_server().await;
        let (proxy, context) = asked(net_policy(&[&server.to_string()], &[]), &[]);
        let mut client = proxy.connect().await;
        let get = format!("GET http://{server}/ HTTP/1.1\r\nHost: {server}\r\n\r\n");
        client.write_all(get.as_bytes()).await.unwrap();
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
        read_head(&mut client).await;
        context.replace_policy(net_policy(&[], &["*"]));
        client.write_all(get.as_bytes()).await.unwrap();
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 403"));
    });
}
