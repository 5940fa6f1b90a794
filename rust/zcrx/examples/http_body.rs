// SPDX-License-Identifier: MIT
//! An HTTP/1.1 server that takes one request with a body, as `curl -T FILE http://HOST:PORT/` sends it. The body
//! becomes a list of `Bytes`, none of it copied.
//!
//!     http_body HOST:PORT

use std::error::Error;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::{env, process};

use bytes::Bytes;
use zcrx::{Buffers, Receiver};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LARGEST_HEAD: usize = 64 << 10;

/// The head of a request, and what of the body came with it.
struct Request {
    head: Vec<u8>,
    body: Bytes,
}

fn next(buffers: &mut Buffers) -> Result<Bytes> {
    let buffer = buffers.next().ok_or("the client left in the middle of a request")?;
    Ok(Bytes::try_from(buffer?)?)
}

fn read_head(buffers: &mut Buffers) -> Result<Request> {
    let mut head = Vec::new();
    while head.len() < LARGEST_HEAD {
        let bytes = next(buffers)?;
        let before = head.len();
        head.extend_from_slice(&bytes);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let end = end + 4;
            head.truncate(end);
            return Ok(Request { head, body: bytes.slice(end - before..) });
        }
    }
    Err("the head is too large".into())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

fn read_body(buffers: &mut Buffers, first: Bytes, length: usize) -> Result<Vec<Bytes>> {
    let mut received = first.len().min(length);
    let mut body = vec![first.slice(..received)];
    while received < length {
        let mut bytes = next(buffers)?;
        bytes.truncate(length - received);
        received += bytes.len();
        body.push(bytes);
    }
    Ok(body)
}

fn serve(mut socket: TcpStream) -> Result<()> {
    // The whole body is kept here: an area as large as what a program wants to keep.
    let mut buffers = Receiver::builder().area_bytes(256 << 20).buffers(&socket)?;
    let request = read_head(&mut buffers)?;
    let head = String::from_utf8_lossy(&request.head);
    let length = header(&head, "content-length").ok_or("no content-length")?.parse()?;
    if header(&head, "expect").is_some_and(|value| value == "100-continue") {
        socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = read_body(&mut buffers, request.body, length)?;
    let answer = format!("{length} bytes in {} pieces\n", body.len());
    write!(socket, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())?;
    print!("{answer}");
    Ok(())
}

fn run(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener.accept()?.0)
}

fn main() {
    let Some(address) = env::args().nth(1) else {
        eprintln!("usage: http_body HOST:PORT");
        process::exit(2);
    };
    if let Err(error) = run(&address) {
        eprintln!("http_body: {error}");
        process::exit(1);
    }
}
