// SPDX-License-Identifier: MIT
//! A tokio server that writes each connection to a file of its own: DIRECTORY/0, DIRECTORY/1, ...
//!
//!     tokio_server HOST:PORT DIRECTORY [CONNECTIONS]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, process};

use futures_util::TryStreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use zcrx::Receiver;
use zcrx::tokio::{BufferStream, Dispatcher};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

async fn save(mut stream: BufferStream, path: PathBuf) -> Result<u64> {
    let mut file = File::create(path).await?;
    let mut bytes = 0;
    while let Some(buffer) = stream.try_next().await? {
        file.write_all(&buffer).await?;
        bytes += buffer.len() as u64;
    }
    file.flush().await?;
    Ok(bytes)
}

async fn serve(address: &str, directory: &Path, connections: usize) -> Result<()> {
    let dispatcher = Dispatcher::spawn(Receiver::builder())?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let (socket, peer) = listener.accept().await?;
        let stream = dispatcher.add(&socket).await?;
        let path = directory.join(number.to_string());
        // The socket goes along: it is there for answers.
        tasks.spawn(async move {
            let bytes = save(stream, path).await?;
            drop(socket);
            Ok::<_, Box<dyn Error + Send + Sync>>((peer, bytes))
        });
    }
    while let Some(saved) = tasks.join_next().await {
        let (peer, bytes) = saved??;
        println!("{peer}: {bytes} bytes");
    }
    Ok(())
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = env::args().collect();
    let [_, address, directory, rest @ ..] = words.as_slice() else {
        eprintln!("usage: tokio_server HOST:PORT DIRECTORY [CONNECTIONS]");
        process::exit(2);
    };
    let connections = rest.first().map_or(usize::MAX, |word| word.parse().expect("a number"));
    if let Err(error) = serve(address, Path::new(directory), connections).await {
        eprintln!("tokio_server: {error}");
        process::exit(1);
    }
}
