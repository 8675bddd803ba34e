use super::*;

/// Bytes that differ at every place, so that loss, doubling and disorder show.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 + place / 251) as u8).collect()
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    run(async {
        let server = server(|mut stream| async move {
            let got = read_all(&mut stream).await;
            stream.write_all(format!("you said {got}").as_bytes()).await.unwrap();
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.tunnel(server).await;
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "you said hello");
    });
}

#[test]
fn the_servers_end_is_passed_on_while_the_client_goes_on() {
    run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = Rc::new(std::cell::Cell::new(Some(sender)));
        let server = server(move |mut stream| {
            let sender = sender.clone();
            async move {
                stream.write_all(b"bye").await.unwrap();
                stream.shutdown().await.unwrap();
                let got = read_all(&mut stream).await;
                sender.take().unwrap().send(got).unwrap();
            }
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.tunnel(server).await;
        assert_eq!(read_all(&mut client).await, "bye");
        client.write_all(b"still here").await.unwrap();
        drop(client);
        assert_eq!(receiver.await.unwrap(), "still here");
    });
}

#[test]
fn bulk_data_arrives_whole_in_both_directions_at_once() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let sent = pattern(24 << 20);
        let (mut reader, mut writer) = proxy.tunnel(server).await.into_split();
        let expected = sent.clone();
        tokio::task::spawn_local(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        assert!(got == expected, "{} of {}", got.len(), expected.len());
    });
}

#[test]
fn a_reset_closes_both_ends() {
    run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = Rc::new(std::cell::Cell::new(Some(sender)));
        let server = server(move |mut stream| {
            let sender = sender.clone();
            async move {
                stream.write_all(b"x").await.unwrap();
                read_all(&mut stream).await;
                sender.take().unwrap().send(()).unwrap();
            }
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.tunnel(server).await;
        read_exactly(&mut client, 1).await;
        client.set_zero_linger().unwrap();
        drop(client);
        receiver.await.unwrap();
    });
}

#[test]
fn five_hundred_tunnels_are_open_at_once() {
    run(async {
        // Both ends and the test's own peers live in this process: four descriptors a tunnel.
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let mut tunnels = Vec::new();
        let (soft, _) = (rustix::process::getrlimit(rustix::process::Resource::Nofile), ());
        let room = soft.maximum.unwrap_or(u64::MAX);
        assert!(room > 2500, "this test needs 2500 descriptors, the hard limit is {room}");
        for _ in 0..500 {
            tunnels.push(proxy.tunnel(server).await);
        }
        for (number, tunnel) in tunnels.iter_mut().enumerate() {
            tunnel.write_all(&(number as u32).to_be_bytes()).await.unwrap();
        }
        for (number, tunnel) in tunnels.iter_mut().enumerate() {
            assert_eq!(read_exactly(tunnel, 4).await, (number as u32).to_be_bytes());
        }
    });
}

#[test]
fn a_slow_reader_holds_its_sender_back() {
    run(async {
        let sent = Rc::new(std::cell::Cell::new(0_usize));
        let count = sent.clone();
        let server = server(move |mut stream| {
            let count = count.clone();
            async move {
                let chunk = vec![7; 1 << 16];
                while stream.write_all(&chunk).await.is_ok() {
                    count.set(count.get() + chunk.len());
                }
            }
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut slow = proxy.tunnel(server).await;
        read_exactly(&mut slow, 1 << 20).await;
        // The sender stops when the kernel's buffers of two connections and one chunk of ours are full; it must stop at all.
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if sent.get() == before {
                break;
            }
            before = sent.get();
        }
        assert!(sent.get() < 64 << 20, "{} bytes went to a reader that does not read", sent.get());
        let mut other = proxy.tunnel(server).await;
        read_exactly(&mut other, 8 << 20).await;
    });
}

#[test]
fn a_slow_reader_of_a_plain_answer_holds_the_server_back() {
    run(async {
        let sent = Rc::new(std::cell::Cell::new(0_usize));
        let count = sent.clone();
        let server = server(move |mut stream| {
            let count = count.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
                let chunk = vec![7; 1 << 16];
                while stream.write_all(&chunk).await.is_ok() {
                    count.set(count.get() + chunk.len());
                }
            }
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut slow = proxy.connect().await;
        slow.write_all(format!("GET http://{server}/ HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        read_exactly(&mut slow, 1 << 20).await;
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if sent.get() == before {
                break;
            }
            before = sent.get();
        }
        assert!(sent.get() < 64 << 20, "{} bytes went to a reader that does not read", sent.get());
    });
}
