//! Small servers on the host, for the other end of a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What every answer of [`Server::http`] holds, and no proxy would say.
pub const GREETING: &str = "hello-from-the-host";

/// A TCP server on the host's loopback, for the life of the test process.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Of [`Server::counting`]: all bytes received.
    received: Arc<AtomicUsize>,
}

impl Server {
    /// Answers every request head with 200 and [`GREETING`].
    pub fn http() -> Self {
        Self::start(|stream, _| {
            let request = read_head(stream);
            let body = format!("{GREETING}\n{request}");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            drop(stream.write_all((head + &body).as_bytes()));
        })
    }

    /// Reads to the end, then answers with the number of bytes read.
    pub fn counting() -> Self {
        Self::start(|stream, received| {
            let count = std::io::copy(stream, &mut std::io::sink()).unwrap_or(0);
            received.fetch_add(count as usize, Ordering::SeqCst);
            drop(stream.write_all(count.to_string().as_bytes()));
        })
    }

    /// `127.0.0.1:PORT`.
    pub fn literal(&self) -> String {
        self.address.to_string()
    }

    /// `localhost:PORT`.
    pub fn name(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// How many connections have reached it.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// How many bytes a counting server has received on connections that have ended.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    fn start(serve: impl Fn(&mut TcpStream, &AtomicUsize) + Send + Sync + Clone + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the host's loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(AtomicUsize::new(0));
        let (count, bytes) = (accepted.clone(), received.clone());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (serve, bytes) = (serve.clone(), bytes.clone());
                std::thread::spawn(move || serve(&mut stream, &bytes));
            }
        });
        Server { address, accepted, received }
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
