//! Descriptors that whoever started this process left open for it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// A descriptor of our own for the open file that `number` stands for.
///
/// `/proc/self/fd/N` would not do: opening it anew asks for the file's permission again, fails for a
/// socket, and wants `/proc`. To be called before this process opens anything: later the number could
/// be that of the store or of the TPM.
///
/// Errors: `EBADF` where nothing is open there.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: it is not -1, and borrowed for one system call, which answers EBADF if it is not open.
    let theirs = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_dupfd_cloexec(theirs, 3)?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_open_can_be_read_also_where_it_has_no_name() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"secret").unwrap();
        drop(theirs);
        let mut file = File::from(inherited(ours.as_raw_fd()).unwrap());
        drop(ours);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "secret");
    }

    #[test]
    fn what_is_not_open_is_an_error() {
        for number in [-1, i32::MIN, i32::MAX] {
            assert_eq!(inherited(number).unwrap_err().raw_os_error(), Some(9), "{number}");
        }
    }
}
