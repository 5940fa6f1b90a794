// SPDX-License-Identifier: MIT
//! What one thread does: it receives uploads, hashes and answers them.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use zcrx::{Event, GroupReceiver, RefusedSocket, Stream};

use crate::say;

/// An answer that the peer does not take is given up.
const PATIENCE: Duration = Duration::from_secs(1);

struct Upload {
    socket: TcpStream,
    hash: Sha256,
}

impl Upload {
    fn answer(mut self) -> io::Result<()> {
        self.socket.set_write_timeout(Some(PATIENCE))?;
        let line = format!("{:x}\n", self.hash.finalize());
        self.socket.write_all(line.as_bytes())
    }
}

/// Until `stop` is set, and the receiver woken.
pub fn take(receiver: GroupReceiver, stop: &AtomicBool) -> zcrx::Result<()> {
    let rx = receiver.into_receiver();
    let mut uploads: HashMap<Stream, Upload> = HashMap::new();
    // Acquire pairs with the release of whoever sets it; it is woken after that.
    while !stop.load(Ordering::Acquire) {
        for event in rx.receive(None)? {
            match event {
                Event::Added { stream, accepted: Some(socket), .. } => {
                    uploads.insert(stream, Upload { socket, hash: Sha256::new() });
                }
                Event::Data { stream, buffer } => {
                    if let Some(upload) = uploads.get_mut(&stream) {
                        upload.hash.update(&buffer);
                    }
                }
                Event::End { stream, .. } => {
                    let answered = uploads.remove(&stream).map_or(Ok(()), Upload::answer);
                    if let Err(error) = answered {
                        say(format_args!("hash_server: an upload is not answered: {error}"));
                    }
                }
                Event::Error { stream, error } => {
                    uploads.remove(&stream);
                    say(format_args!("hash_server: an upload has failed: {error}"));
                }
                Event::Refused { error, socket: RefusedSocket::Listening, .. } => {
                    return Err(error);
                }
                Event::Refused { error, .. } => {
                    say(format_args!("hash_server: a connection is refused: {error}"));
                }
                _ => {}
            }
        }
    }
    rx.close()
}
