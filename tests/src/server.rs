//! Small servers on the host, for the other end of a connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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
        Self::start(|stream, _| answer(stream))
    }

    /// The same on a UNIX socket that everybody may connect to; until the process ends.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn http_on_unix_socket(path: &Path) {
        let listener = UnixListener::bind(path).unwrap_or_else(|error| panic!("cannot bind {}: {error}", path.display()));
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("the owner may change a mode");
        std::thread::spawn(move || listener.incoming().flatten().for_each(|mut stream| answer(&mut stream)));
    }

    /// Reads to the end, then answers with the number of bytes read.
    pub fn counting() -> Self {
        Self::start(|stream, received| {
            let count = std::io::copy(stream, &mut std::io::sink()).unwrap_or(0);
            received.fetch_add(count as usize, Ordering::SeqCst);
            drop(stream.write_all(count.to_string().as_bytes()));
        })
    }

    /// Reads to the end, a little at a time, so that senders have to wait.
    pub fn counting_slowly() -> Self {
        Self::start(|stream, received| {
            let mut block = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut block) {
                received.fetch_add(count, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        })
    }

    /// Says these bytes to whoever connects, where `client_first` holds only after its first bytes.
    pub fn saying(bytes: &'static [u8], client_first: bool) -> Self {
        Self::start(move |stream, _| {
            if client_first {
                drop(stream.read(&mut [0; 512]));
            }
            drop(stream.write_all(bytes));
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

/// An HTTP proxy that leads every tunnel to one server, so that a name can be allowed without being known to anyone.
pub struct Parent {
    /// For `network.parentProxy`.
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Parent {
    /// Starts it, for the life of the test process.
    ///
    /// # Panics
    /// When the host's loopback has no free port.
    pub fn of(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the host's loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || tunnel(stream, server, &seen));
            }
        });
        Parent { url, asked }
    }

    /// The targets that tunnels were asked for.
    ///
    /// # Panics
    /// When the proxy has panicked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no holder panics").clone()
    }
}

fn tunnel(mut client: TcpStream, server: SocketAddr, seen: &Mutex<Vec<String>>) {
    let head = read_head(&mut client);
    let target = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    seen.lock().expect("no holder panics").push(target);
    let Ok(mut upstream) = TcpStream::connect(server) else {
        return drop(client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    };
    drop(client.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
    let (mut from, mut to) = (client.try_clone().expect("a socket can be copied"), upstream.try_clone().expect("a socket can be copied"));
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    drop(std::io::copy(&mut upstream, &mut client));
    drop(client.shutdown(Shutdown::Write));
}

fn answer(stream: &mut (impl Read + Write)) {
    let request = read_head(stream);
    let body = format!("{GREETING}\n{request}");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Of-The-Server: shown\r\nConnection: close\r\n\r\n", body.len());
    drop(stream.write_all((head + &body).as_bytes()));
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
