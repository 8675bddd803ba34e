//! The name server over real sockets.

use std::net::{IpAddr, UdpSocket};

use super::inside::{world, world_without_ipv6};
use super::*;
use crate::policy::testing::{Random, net_policy};

/// `A` of this name.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut packet = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// The last four bytes of an answer with one `A` record.
fn address(answer: &[u8]) -> IpAddr {
    <[u8; 4]>::try_from(&answer[answer.len() - 4..]).unwrap().into()
}

#[test]
fn any_address_answers_and_the_answer_comes_from_the_very_address() {
    run(async {
        let Some(world) = world(net_policy(&["*.example.com"], &[])) else { return };
        for server in ["127.0.0.1", "8.8.8.8", "::1", "2001:4860:4860::8888", "198.18.0.1"] {
            let server = SocketAddr::new(server.parse().unwrap(), 53);
            let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
            let socket = world.inside.run(move || UdpSocket::bind(SocketAddr::new(any, 0)).unwrap());
            socket.set_nonblocking(true).unwrap();
            let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
            socket.send_to(&question(7, "www.example.com"), server).await.unwrap();
            let mut answer = [0; 512];
            let (length, from) = socket.recv_from(&mut answer).await.unwrap();
            assert_eq!((from, address(&answer[..length])), (server, "198.18.0.1".parse().unwrap()));
        }
    });
}

#[test]
fn without_ipv6_every_address_answers_all_the_same_and_there_are_no_addresses_of_it() {
    run(async {
        let Some(world) = world_without_ipv6(net_policy(&["*.example.com"], &[])) else { return };
        let socket = world.inside.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
        for server in ["127.0.0.1:53", "8.8.8.8:53"] {
            for (qtype, records) in [(1, 1), (28, 0)] {
                let mut packet = question(7, "www.example.com");
                let at = packet.len() - 3;
                packet[at] = qtype;
                socket.send_to(&packet, server).await.unwrap();
                let mut answer = [0; 512];
                let (_, from) = socket.recv_from(&mut answer).await.unwrap();
                assert_eq!((from, answer[7]), (server.parse().unwrap(), records));
            }
        }
        let mut stream = world.connect("9.9.9.9:53".parse().unwrap(), false).await.unwrap();
        let question = question(1, "www.example.com");
        stream.write_all(&[&(question.len() as u16).to_be_bytes()[..], &question].concat()).await.unwrap();
        assert!(stream.read_u16().await.unwrap() > 12);
    });
}

#[test]
fn several_questions_of_one_stream_are_answered_in_order() {
    run(async {
        let Some(world) = world(net_policy(&["*.example.com"], &[])) else { return };
        let mut stream = world.connect("9.9.9.9:53".parse().unwrap(), false).await.unwrap();
        let questions: Vec<u8> = (1..=100u16)
            .flat_map(|id| {
                let question = question(id, &format!("n{id}.example.com"));
                [&(question.len() as u16).to_be_bytes()[..], &question].concat()
            })
            .collect();
        for piece in questions.chunks(333) {
            stream.write_all(piece).await.unwrap();
        }
        for id in 1..=100u16 {
            let length = stream.read_u16().await.unwrap();
            let answer = read_exactly(&mut stream, length.into()).await;
            assert_eq!((&answer[..2], address(&answer)), (&id.to_be_bytes()[..], IpAddr::from([198, 18, 0, id as u8])));
        }
        stream.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "what is no question ends the connection");
    });
}

#[test]
fn a_flood_of_anything_leaves_the_server_answering() {
    run(async {
        let Some(world) = world(net_policy(&["*.example.com"], &[])) else { return };
        let socket = world.inside.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
        let mut random = Random::new(5);
        let server = "127.0.0.1:53";
        for count in 0..5000 {
            let length = [0, 1, 11, 12, 300, 9000][random.below(6)];
            let packet: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            let _ = socket.send_to(&packet, server).await;
            let _ = socket.send_to(&question(count, &format!("n{count}.evil.test")), server).await;
        }
        let mut answer = [0; 4096];
        loop {
            socket.send_to(&question(0xffff, "www.example.com"), server).await.unwrap();
            let wait = tokio::time::timeout(Duration::from_millis(50), socket.recv_from(&mut answer));
            if let Ok(Ok((length, _))) = wait.await
                && answer[..2] == [0xff, 0xff]
                && answer[3] & 0xf == 0
            {
                assert_eq!(address(&answer[..length]), "198.18.0.1".parse::<IpAddr>().unwrap());
                break;
            }
        }
        assert!(world.events.snapshot().events.len() <= 1000, "events are bounded");
    });
}
