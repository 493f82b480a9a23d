//! A network between a client and a registry that breaks: it passes bytes on, slowly or only so many.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What a network does. Counts are over all connections.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes that came from the client.
    up: AtomicU64,
    /// Bytes that went to the client.
    down: AtomicU64,
    /// Bytes from the client after which every connection breaks, once; none when negative.
    cut_up: AtomicI64,
    /// Bytes to the client in one second of one connection.
    rate: AtomicU64,
}

impl Network {
    /// Stands before a server. Its threads end with the test's process.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            cut_up: AtomicI64::new(-1),
            rate: AtomicU64::new(u64::MAX),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || connect(&client, target, &state));
            }
        });
        Self { address, state }
    }

    /// The next connection that brings the client's bytes over this number breaks.
    pub(crate) fn cut_after(&self, bytes: u64) {
        let at = self.state.up.load(Ordering::SeqCst) + bytes;
        self.state.cut_up.store(i64::try_from(at).expect("small"), Ordering::SeqCst);
    }

    /// So many bytes a second go to the client on each connection.
    pub(crate) fn slow_down(&self, rate: u64) {
        self.state.rate.store(rate, Ordering::SeqCst);
    }

    pub(crate) fn up(&self) -> u64 {
        self.state.up.load(Ordering::SeqCst)
    }

    pub(crate) fn down(&self) -> u64 {
        self.state.down.load(Ordering::SeqCst)
    }
}

fn connect(client: &TcpStream, target: SocketAddr, state: &Arc<State>) {
    let Ok(server) = TcpStream::connect(target) else { return };
    let copies = |stream: &TcpStream| stream.try_clone().expect("another handle");
    let (from, to, shared) = (copies(client), copies(&server), Arc::clone(state));
    let sending = thread::spawn(move || send(from, to, &shared));
    receive(server, copies(client), state);
    sending.join().expect("it does not panic");
}

fn send(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length) = from.read(&mut bytes) {
        if length == 0 || to.write_all(&bytes[..length]).is_err() {
            break;
        }
        let up = state.up.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
        let cut = state.cut_up.load(Ordering::SeqCst);
        if u64::try_from(cut).is_ok_and(|cut| up > cut) {
            state.cut_up.store(-1, Ordering::SeqCst);
            // Either side may have gone already.
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

fn receive(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let rate = state.rate.load(Ordering::SeqCst);
        let most = bytes.len().min(usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1));
        match from.read(&mut bytes[..most]) {
            Ok(length) if length > 0 && to.write_all(&bytes[..length]).is_ok() => {
                state.down.fetch_add(length as u64, Ordering::SeqCst);
                if rate != u64::MAX {
                    thread::sleep(Duration::from_secs_f64(length as f64 / rate as f64));
                }
            }
            _ => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
