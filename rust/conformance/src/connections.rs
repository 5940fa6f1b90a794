// SPDX-License-Identifier: MIT
//! The connections, by number, and how far each is.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::Mutex;

use zcrx::Stream;

use crate::{Failure, no};

#[derive(Default)]
pub struct Connection {
    pub socket: Option<TcpStream>,
    /// Where in the payload its next byte is.
    pub place: u64,
    pub stream: Option<Stream>,
}

#[derive(Default)]
pub struct Connections(Mutex<HashMap<u64, Connection>>);

impl Connections {
    pub fn clear(&self) {
        self.0.lock().expect("no thread panics").clear();
    }

    pub fn begin(&self, number: u64, place: u64, socket: Option<TcpStream>) {
        let connection = Connection { socket, place, stream: None };
        self.0.lock().expect("no thread panics").insert(number, connection);
    }

    /// Of a connection.
    pub fn with<T>(
        &self,
        number: u64,
        call: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut connections = self.0.lock().expect("no thread panics");
        call(connections.get_mut(&number).ok_or_else(|| no("connection"))?)
    }

    /// Of its socket, which the program still has.
    pub fn with_socket<T>(
        &self,
        number: u64,
        call: impl FnOnce(&TcpStream) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.with(number, |connection| {
            call(connection.socket.as_ref().ok_or_else(|| no("socket"))?)
        })
    }

    /// So many bytes of it have come. Where in the payload they are.
    pub fn advance(&self, number: u64, bytes: usize) -> Result<u64, Failure> {
        self.with(number, |connection| {
            let place = connection.place;
            connection.place += bytes as u64;
            Ok(place)
        })
    }
}
