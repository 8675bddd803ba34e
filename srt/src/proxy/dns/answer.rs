//! From a question to its answer: bytes to bytes, nothing else.
//!
//! The question comes from inside the sandbox and may be anything. `domain` reads it in place: names are bounded to 255 bytes, compression pointers must lead
//! backwards, and nothing is allocated. Only the first question and the OPT record are read; all else is ignored.
//!
//! See RFC 1035 section 4, RFC 6891 (EDNS).

use domain::base::iana::{Class, Opcode, OptRcode};
use domain::base::message::Message;
use domain::base::message_builder::{AnswerBuilder, MessageBuilder, PushError, StaticCompressor};
use domain::base::{Name, ParsedName, Question, Ttl};
use domain::rdata::{A, Aaaa, Ptr};

use super::zone::{Found, Zone};

/// What every client can take (RFC 1035 section 4.2.1), and what fits every path (DNS flag day 2020).
const SMALLEST: u16 = 512;
const LARGEST: u16 = 1232;
/// Addresses may be given to another name later, so nobody should keep them for long.
const TTL: Ttl = Ttl::from_secs(30);

/// Length of an OPT record without options.
const OPT_RECORD: usize = 11;

type Asked<'a> = Question<ParsedName<&'a [u8]>>;
type Builder = AnswerBuilder<StaticCompressor<Vec<u8>>>;

/// How the question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// The answer must fit what the client said it takes.
    Datagram,
    /// 65 535 bytes.
    Stream,
}

/// The answer; `None` where there is nobody to answer to: no whole header, or an answer itself.
pub(super) fn answer(packet: &[u8], transport: Transport, zone: &Zone) -> Option<Vec<u8>> {
    let query = Message::from_octets(packet).ok()?;
    if query.header().qr() {
        return None;
    }
    let limit = match transport {
        Transport::Datagram => query.opt().map_or(SMALLEST, |opt| opt.udp_payload_size().clamp(SMALLEST, LARGEST)),
        Transport::Stream => u16::MAX,
    };
    let (rcode, question) = check(&query);
    let (rcode, found) = match &question {
        Some(question) if rcode == OptRcode::NOERROR => judge(zone, question),
        _ => (rcode, Found::Nothing),
    };
    compose(&query, question.as_ref(), rcode, &found, limit.into()).ok()
}

/// What can be said before the name is looked at.
fn check<'a>(query: &'a Message<&'a [u8]>) -> (OptRcode, Option<Asked<'a>>) {
    if query.header().opcode() != Opcode::QUERY {
        return (OptRcode::NOTIMP, None);
    }
    let counts = query.header_counts();
    // A question has no answers, and exactly one question (RFC 9619).
    if (counts.qdcount(), counts.ancount(), counts.nscount()) != (1, 0, 0) {
        return (OptRcode::FORMERR, None);
    }
    match query.sole_question() {
        Ok(question) if query.opt().is_some_and(|opt| opt.version() != 0) => (OptRcode::BADVERS, Some(question)),
        Ok(question) if !matches!(question.qclass(), Class::IN | Class::ANY) => (OptRcode::REFUSED, Some(question)),
        Ok(question) => (OptRcode::NOERROR, Some(question)),
        Err(_malformed) => (OptRcode::FORMERR, None),
    }
}

fn judge(zone: &Zone, question: &Asked<'_>) -> (OptRcode, Found) {
    let labels: Vec<&[u8]> = question.qname().iter().filter(|label| !label.is_root()).map(domain::base::name::Label::as_slice).collect();
    match zone.look_up(&labels, question.qtype()) {
        found @ Found::NoSuchName => (OptRcode::NXDOMAIN, found),
        found @ Found::NoPlace => (OptRcode::SERVFAIL, found),
        found => (OptRcode::NOERROR, found),
    }
}

fn compose(
    query: &Message<&[u8]>,
    question: Option<&Asked<'_>>,
    rcode: OptRcode,
    found: &Found,
    limit: usize,
) -> Result<Vec<u8>, PushError> {
    let mut builder =
        MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(SMALLEST.into()))).map_err(|_| PushError::ShortBuf)?;
    // The limit itself must not be reached.
    builder.set_push_limit(limit - OPT_RECORD + 1);
    let header = builder.header_mut();
    header.set_id(query.header().id());
    header.set_qr(true);
    header.set_opcode(query.header().opcode());
    header.set_rd(query.header().rd());
    // Resolvers in programs give up on a server that does not offer recursion.
    header.set_ra(true);
    header.set_rcode(rcode.rcode());
    let mut builder = builder.question();
    if let Some(question) = question {
        builder.push(question)?;
    }
    let mut builder = builder.answer();
    if let Some(question) = question
        && push(&mut builder, question, found).is_err()
    {
        builder = builder.tc_rewind_into();
    }
    let mut builder = builder.additional();
    builder.clear_push_limit();
    if query.opt().is_some() {
        builder.opt(|opt| {
            opt.set_udp_payload_size(LARGEST);
            opt.set_rcode(rcode);
            Ok(())
        })?;
    }
    Ok(builder.finish().into_target())
}

fn push(builder: &mut Builder, question: &Asked<'_>, found: &Found) -> Result<(), PushError> {
    let owner = question.qname();
    match found {
        Found::V4(address) => builder.push((owner, Class::IN, TTL, A::from(*address))),
        Found::V6(address) => builder.push((owner, Class::IN, TTL, Aaaa::from(*address))),
        Found::Name(name) => {
            let name = Name::<Vec<u8>>::from_chars(name.as_str().chars()).map_err(|_| PushError::ShortBuf)?;
            builder.push((owner, Class::IN, TTL, Ptr::new(name)))
        }
        Found::Nothing | Found::NoSuchName | Found::NoPlace => Ok(()),
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
