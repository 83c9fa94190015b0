//! A TPM behind a stream socket, unix or TCP, that carries plain commands and responses: swtpm.
//!
//! Such a server serves one connection at a time. A second one waits in its backlog until the first
//! is closed, which looks like a TPM that does not answer, so a connection is closed with its turn.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_PRESENT};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::process::{Pid, getpid};

use super::deadline::{Backoff, Deadline};
use super::{Exchanged, Failure, MESSAGE_MAX, Pipe, announced_size};
use crate::error::{Error, Result};

/// Where the server listens.
pub(super) enum Server {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port: name or IP address, and number.
    Tcp(String, u16),
}

/// The pipe to such a server.
pub(super) struct Socket {
    server: Server,
    connection: Option<Connection>,
}

impl Socket {
    pub(super) fn new(server: Server) -> Self {
        Self { server, connection: None }
    }
}

/// A connected socket and the process that connected it.
struct Connection {
    socket: OwnedFd,
    owner: Pid,
}

impl Drop for Connection {
    /// Ends the connection itself, not only this descriptor: a child that was forked in the middle
    /// of a call holds another one, and the server would go on serving a connection that nobody
    /// uses. The child's copy in turn must leave the parent's connection as it is.
    fn drop(&mut self) {
        if self.owner == getpid() {
            // It fails where the server closed first, which is as good.
            let _ = net::shutdown(&self.socket, Shutdown::Both);
        }
    }
}

impl Pipe for Socket {
    fn connected(&self) -> bool {
        self.connection.is_some()
    }

    fn connect(&mut self, deadline: Deadline) -> Result<()> {
        let socket = match &self.server {
            Server::Unix(path) => connect_unix(path, deadline),
            Server::Tcp(host, port) => connect_tcp(host, *port, deadline),
        }?;
        self.connection = Some(Connection { socket, owner: getpid() });
        Ok(())
    }

    fn exchange(&mut self, command: &[u8], deadline: Deadline) -> Exchanged<Vec<u8>> {
        let connection = self.connection.as_ref().ok_or(Failure::not_connected())?;
        let socket = &connection.socket;
        let broken = |why| move |errno: Errno| Failure::broken(why, errno);

        // Whatever is there before the question is not its answer.
        if Deadline::past().wait(socket.as_fd(), PollFlags::IN).map_err(broken("polling"))? {
            return Err(Failure::because("the TPM closed the connection or spoke out of turn"));
        }

        let mut rest = command;
        while !rest.is_empty() {
            // Without NOSIGNAL a server that went away would end the host by SIGPIPE.
            match net::send(socket, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !deadline.wait(socket.as_fd(), PollFlags::OUT).map_err(broken("polling"))? {
                        return Err(Failure::Late);
                    }
                }
                Err(errno) => return Err(Failure::broken("sending a command", errno)),
            }
        }

        let mut response = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(socket, &mut chunk) {
                Ok(0) => return Err(Failure::because("the TPM closed the connection")),
                Ok(read) => response.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    if !deadline.wait(socket.as_fd(), PollFlags::IN).map_err(broken("polling"))? {
                        return Err(Failure::Late);
                    }
                    continue;
                }
                Err(errno) => return Err(Failure::broken("receiving a response", errno)),
            }
            // The header's size is held against the bytes where all pipes meet; here it only says
            // when to stop.
            match announced_size(&response) {
                Some(size) if size > MESSAGE_MAX || response.len() >= size => return Ok(response),
                _ => {}
            }
        }
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }
}

fn open(family: AddressFamily) -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|errno| Error::because(CKR_DEVICE_ERROR, "no socket for the TPM", errno))
}

/// What a failed connect means: nobody there, or something else.
fn refused(errno: Errno) -> Error {
    let rv = match errno {
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::CONNREFUSED
        | Errno::ACCESS
        | Errno::PERM
        | Errno::HOSTUNREACH
        | Errno::NETUNREACH
        | Errno::HOSTDOWN => CKR_TOKEN_NOT_PRESENT,
        _ => CKR_DEVICE_ERROR,
    };
    Error::because(rv, "connecting to the TPM", errno)
}

fn too_late() -> Error {
    Error::new(CKR_DEVICE_ERROR, "the TPM accepted no connection in time")
}

fn connect_unix(path: &PathBuf, deadline: Deadline) -> Result<OwnedFd> {
    let address = SocketAddrUnix::new(path).map_err(refused)?;
    let socket = open(AddressFamily::UNIX)?;
    let mut backoff = Backoff::until(deadline);
    loop {
        match net::connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            // A full backlog: others wait for the same server, and no poll tells when it has room.
            Err(Errno::AGAIN) => {
                if !backoff.pause() {
                    return Err(too_late());
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(refused(errno)),
        }
    }
}

/// The host's own resolver answers for names; `localhost` and IP addresses need none, and only for
/// them is the time limit sure to be kept.
fn connect_tcp(host: &str, port: u16, deadline: Deadline) -> Result<OwnedFd> {
    let addresses: Vec<SocketAddr> = if host == "localhost" {
        vec![(Ipv4Addr::LOCALHOST, port).into()]
    } else if let Ok(ip) = host.parse::<IpAddr>() {
        vec![(ip, port).into()]
    } else {
        let found = (host, port).to_socket_addrs().map_err(|error| {
            Error::because(CKR_TOKEN_NOT_PRESENT, "the TPM's host name has no address", error)
        })?;
        found.collect()
    };
    let mut failure = Error::new(CKR_TOKEN_NOT_PRESENT, "the TPM's host name has no address");
    for address in addresses {
        match connect_ip(&address, deadline) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn connect_ip(address: &SocketAddr, deadline: Deadline) -> Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = open(family)?;
    match net::connect(&socket, address) {
        Ok(()) => {}
        // Interrupted or not, the kernel goes on connecting.
        Err(Errno::INPROGRESS | Errno::INTR) => {
            if !deadline.wait(socket.as_fd(), PollFlags::OUT).map_err(refused)? {
                return Err(too_late());
            }
            net::sockopt::socket_error(&socket).and_then(|outcome| outcome).map_err(refused)?;
        }
        Err(errno) => return Err(refused(errno)),
    }
    // Commands are small and each waits for its answer: nothing to gather.
    net::sockopt::set_tcp_nodelay(&socket, true).map_err(refused)?;
    Ok(socket)
}
