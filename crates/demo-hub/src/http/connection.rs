//! One connection: request after request until either side ends it.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::request::Unreadable;
use super::send::{Afterwards, Wires};
use super::{Request, Response, Server, Wire};
use crate::hub::{Answer, Shared};

/// Serves a connection to its end. Dropping the future closes it.
pub(crate) async fn serve_connection(shared: Arc<Shared>, server: Server, number: u64, mut stream: TcpStream) {
    // Without it each small answer waits for the client's delayed acknowledgment.
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.split();
    let mut buffer = BytesMut::new();
    loop {
        let request = match Request::read(server, &mut reader, &mut buffer).await {
            Ok(request) => request,
            Err(Unreadable::Closed) => return,
            Err(Unreadable::Refused(status)) => {
                let refusal = Response::error(status, None, "the request cannot be read");
                let mut wires = Wires { reader: &mut reader, writer: &mut writer, buffer: &mut buffer };
                let _ = wires.send(&refusal, &Wire::default(), false, false, None).await;
                return;
            }
        };
        let Answer { response, wire, entry } = shared.answer(&request, number);
        let is_head = request.method == "HEAD";
        let mut wires = Wires { reader: &mut reader, writer: &mut writer, buffer: &mut buffer };
        let afterwards = wires.send(&response, &wire, is_head, request.keep_alive, Some(&entry)).await;
        entry.finish();
        if !matches!(afterwards, Ok(Afterwards::Open)) {
            // What was sent arrives before the end of the connection does.
            let _ = writer.shutdown().await;
            return;
        }
    }
}
