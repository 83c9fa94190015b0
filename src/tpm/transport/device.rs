//! A TPM of the kernel: /dev/tpmrm0 behind its resource manager, or the bare /dev/tpm0.
//!
//! The kernel runs a command when it is written and holds the response until it is read: one write,
//! one poll, one read. The bare device is open in one process at a time.
//!
//! Closing a device whose TPM is still at work waits inside the kernel until it is done, minutes
//! perhaps, and the host with it. After a time-out the descriptor is therefore kept, and closed once
//! the late answer is there.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_TOKEN_NOT_PRESENT};
use rustix::event::PollFlags;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::deadline::{Backoff, Deadline};
use super::{Exchanged, Failure, MESSAGE_MAX, Pipe};
use crate::error::{Error, Result};

/// The pipe to a character device.
pub(super) struct Device {
    path: PathBuf,
    device: Option<OwnedFd>,
    /// The descriptor whose answer did not come in time.
    late: Option<ManuallyDrop<OwnedFd>>,
}

impl Device {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, device: None, late: None }
    }

    /// Closes the descriptor of a late answer if that no longer blocks.
    fn settle(&mut self, deadline: Deadline) -> Result<()> {
        let Some(late) = &self.late else { return Ok(()) };
        // A device that is gone is ready too: with an error, which closing does not wait for.
        match deadline.wait(late.as_fd(), PollFlags::IN) {
            Ok(true) => {}
            Ok(false) => return Err(Error::new(CKR_DEVICE_ERROR, "the TPM is still at work")),
            Err(errno) => return Err(Error::because(CKR_DEVICE_ERROR, "polling the TPM", errno)),
        }
        if let Some(late) = self.late.take().map(ManuallyDrop::into_inner) {
            // Nobody waits for this answer any more, nor for the error in its place.
            let _ = rustix::io::read(&late, &mut [0; MESSAGE_MAX]);
        }
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.late.is_some() && self.settle(Deadline::past()).is_err() {
            log::warn!("the TPM never answered: its descriptor stays open, closing it would block");
        }
    }
}

impl Pipe for Device {
    fn connected(&self) -> bool {
        self.device.is_some()
    }

    fn connect(&mut self, deadline: Deadline) -> Result<()> {
        self.settle(deadline)?;
        // Links are followed: udev makes them, and the path comes from who configures the module.
        // What it leads to is looked at below, and a terminal must not become the host's own.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let mut backoff = Backoff::until(deadline);
        let device = loop {
            match rustix::fs::open(&self.path, flags, Mode::empty()) {
                Ok(device) => break device,
                Err(Errno::INTR) => {}
                // The bare device is in the hands of a program that does not take turns with us.
                Err(Errno::BUSY) if backoff.pause() => {}
                Err(errno) => return Err(not_opened(errno)),
            }
        };
        let status = rustix::fs::fstat(&device).map_err(not_opened)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::CharacterDevice {
            return Err(Error::new(CKR_TOKEN_NOT_PRESENT, "the TPM's path is no device"));
        }
        self.device = Some(device);
        Ok(())
    }

    fn exchange(&mut self, command: &[u8], deadline: Deadline) -> Exchanged<Vec<u8>> {
        let device = self.device.as_ref().ok_or(Failure::not_connected())?;
        match rustix::io::retry_on_intr(|| rustix::io::write(device, command)) {
            Ok(written) if written == command.len() => {}
            Ok(_) => return Err(Failure::because("the device took half a command")),
            Err(errno) => return Err(Failure::broken("writing a command", errno)),
        }
        let mut response = vec![0; MESSAGE_MAX];
        loop {
            match deadline.wait(device.as_fd(), PollFlags::IN) {
                Ok(true) => {}
                Ok(false) => {
                    self.late = self.device.take().map(ManuallyDrop::new);
                    return Err(Failure::Late);
                }
                Err(errno) => return Err(Failure::broken("polling", errno)),
            }
            match rustix::io::read(device, &mut response) {
                Ok(read) => {
                    response.truncate(read);
                    return Ok(response);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(Failure::broken("reading a response", errno)),
            }
        }
    }

    fn disconnect(&mut self) {
        self.device = None;
    }
}

fn not_opened(errno: Errno) -> Error {
    let rv = match errno {
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::NODEV
        | Errno::NXIO
        | Errno::ACCESS
        | Errno::PERM
        | Errno::LOOP => CKR_TOKEN_NOT_PRESENT,
        _ => CKR_DEVICE_ERROR,
    };
    Error::because(rv, "opening the TPM's device", errno)
}
