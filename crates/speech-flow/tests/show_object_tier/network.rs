//! A network between a server and its store: it passes bytes on, holds them back, or lets few through.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Weather {
    /// Requests are taken and never answered.
    Silent,
    /// So many bytes a second pass to the store.
    SlowUp(u64),
    /// So many bytes a second come back on each connection.
    SlowDown(u64),
}

/// One such network.
pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    /// Bytes that the store was sent.
    sent: Arc<AtomicU64>,
}

impl Network {
    /// Stands before a server that listens on `target`. Its threads end with the test's process.
    pub(crate) fn to(target: SocketAddr, weather: Weather) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || connect(&client, target, weather, &counter));
            }
        });
        Self { address, sent }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

fn connect(client: &TcpStream, target: SocketAddr, weather: Weather, sent: &Arc<AtomicU64>) {
    let copies = |stream: &TcpStream| stream.try_clone().expect("another handle");
    if let Weather::Silent = weather {
        let mut taken = copies(client);
        while matches!(taken.read(&mut [0; 4096]), Ok(length) if length > 0) {}
        return;
    }
    let Ok(server) = TcpStream::connect(target) else { return };
    let (up, down) = match weather {
        Weather::SlowUp(rate) => (Some(rate), None),
        Weather::SlowDown(rate) => (None, Some(rate)),
        Weather::Silent => (None, None),
    };
    let (from, to, counter) = (copies(client), copies(&server), Arc::clone(sent));
    let sending = thread::spawn(move || pass(from, to, up, &counter));
    pass(server, copies(client), down, &AtomicU64::new(0));
    sending.join().expect("it does not panic");
}

fn pass(mut from: TcpStream, mut to: TcpStream, rate: Option<u64>, counter: &AtomicU64) {
    let mut bytes = vec![0; rate.map_or(64 << 10, |rate| (rate / 20).max(1) as usize)];
    while let Ok(length) = from.read(&mut bytes) {
        if length == 0 || to.write_all(&bytes[..length]).is_err() {
            break;
        }
        counter.fetch_add(length as u64, Ordering::Relaxed);
        if let Some(rate) = rate {
            thread::sleep(Duration::from_secs_f64(length as f64 / rate as f64));
        }
    }
    // Either side may have gone already.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
