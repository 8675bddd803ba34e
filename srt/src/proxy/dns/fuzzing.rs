//! Fuzz target: the name server.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use domain::base::Message;
use domain::base::iana::{Rcode, Rtype};
use domain::rdata::{A, Aaaa};

use super::answer::{Transport, answer};
use super::zone::Zone;
use crate::policy::{Host, HostName};
use crate::proxy::ProxyContext;
use crate::proxy::fuzzing::policy;
use crate::proxy::names::Names;
use crate::violation::EventSink;

/// Few, so that places are given away.
const PLACES: u32 = 3;

/// A byte of choices (1: IPv6), then a packet.
pub(crate) fn dns(data: &[u8]) {
    let Some((choice, packet)) = data.split_first() else { return };
    let context = Rc::new(ProxyContext::new(policy(None), EventSink::default()));
    let names = Rc::new(RefCell::new(Names::new(PLACES)));
    let zone = Zone::new(context.clone(), names.clone(), choice & 1 != 0);
    let [datagram, stream] = [Transport::Datagram, Transport::Stream].map(|transport| answer(packet, transport, &zone));
    let is_question = packet.len() >= 12 && packet[2] & 0x80 == 0;
    assert_eq!((datagram.is_some(), stream.is_some()), (is_question, is_question), "{packet:?}");
    let (Some(datagram), Some(stream)) = (datagram, stream) else { return };
    assert!(datagram.len() <= if packet[10..12] == [0, 0] { 512 } else { 1232 }, "{} bytes", datagram.len());
    assert!(stream.len() <= usize::from(u16::MAX));
    for bytes in [&datagram, &stream] {
        is_answer_to(packet, bytes);
        leads_to_allowed_names(bytes, &context, &names.borrow());
    }
    let codes = [&datagram, &stream].map(|bytes| bytes[3] & 0xf);
    assert_eq!(codes[0], codes[1]);
    // Nobody went away from a datagram without knowing that there is more.
    let is_cut = datagram[2] & 2 != 0;
    assert!(is_cut || datagram[6..8] == stream[6..8], "{datagram:?} and {stream:?}");
}

fn is_answer_to(packet: &[u8], bytes: &[u8]) {
    assert_eq!(bytes[..2], packet[..2], "the id");
    assert!(bytes[2] & 0x80 != 0);
    assert_eq!(bytes[2] & 0x79, packet[2] & 0x79, "operation and recursion");
    let (query, reply) = (Message::from_octets(packet).expect("a header"), Message::from_octets(bytes).expect("a header"));
    assert_eq!(reply.header_counts().nscount(), 0);
    // Everything in it can be read.
    for record in reply.answer().expect("an answer section") {
        record.expect("a record");
    }
    let opt = reply.additional().expect("an additional section").count();
    assert_eq!(opt, usize::from(query.opt().is_some()));
    match (query.sole_question(), reply.sole_question()) {
        (Ok(asked), Ok(repeated)) => assert_eq!(asked, repeated),
        (_, Err(_)) => assert_eq!(reply.header_counts().qdcount(), 0),
        (Err(_), Ok(repeated)) => assert_eq!(query.first_question(), Some(repeated)),
    }
}

/// An address stands for a name that may be reached, or for this machine under its own names.
fn leads_to_allowed_names(bytes: &[u8], context: &ProxyContext, names: &Names) {
    let reply = Message::from_octets(bytes).expect("a header");
    let Ok(question) = reply.sole_question() else { return };
    let labels: Vec<&[u8]> = question.qname().iter().filter(|label| !label.is_root()).map(domain::base::name::Label::as_slice).collect();
    let text = String::from_utf8_lossy(&labels.join(&b'.')).into_owned();
    let asked = Host::parse(&text).ok().and_then(|host| host.name().cloned());
    let is_plain = labels.iter().all(|label| label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
    let may = |name: &HostName| context.policy().may_resolve(name).allowed;
    for address in addresses(&reply) {
        let asked = asked.as_ref().filter(|_| is_plain).expect("a name");
        if address.is_loopback() {
            let own = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
            assert!(asked.is_localhost() || asked.as_str() == own, "{text}");
        } else {
            assert!(may(asked), "{text}");
            assert_eq!(names.name(address).as_deref(), Some(asked), "{address}");
        }
    }
    let is_denied = reply.header().rcode() == Rcode::NXDOMAIN && !text.to_ascii_lowercase().ends_with(".arpa");
    assert!(!is_denied || !asked.is_some_and(|asked| is_plain && may(&asked)), "{text}");
    let is_address = matches!(question.qtype(), Rtype::A | Rtype::AAAA);
    assert!(is_address || addresses(&reply).is_empty(), "{:?}", question.qtype());
}

fn addresses(reply: &Message<&[u8]>) -> Vec<IpAddr> {
    let section = reply.answer().expect("an answer section");
    let v4 = section.limit_to::<A>().filter_map(Result::ok).map(|record| IpAddr::V4(record.data().addr()));
    let section = reply.answer().expect("an answer section");
    let v6 = section.limit_to::<Aaaa>().filter_map(Result::ok).map(|record| IpAddr::V6(record.data().addr()));
    v4.chain(v6).collect()
}
