//! PINs come from a prompt or a file, never from the command line or the environment.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

/// The PIN in `file` (one trailing newline is not part of it), or what the terminal's user types.
pub fn read(what: &str, file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, String> {
    if let Some(path) = file {
        let mut pin =
            Zeroizing::new(fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?);
        if pin.last() == Some(&b'\n') {
            pin.pop();
        }
        return Ok(pin);
    }
    rpassword::prompt_password(format!("{what}: "))
        .map(|pin| Zeroizing::new(pin.into_bytes()))
        .map_err(|error| format!("no {what}: {error} (name a file with it instead)"))
}

/// A new secret: typed twice where it is typed.
pub fn read_new(what: &str, file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, String> {
    let first = read(what, file)?;
    if file.is_none() && *read(&format!("{what} again"), None)? != *first {
        return Err("the two do not match".into());
    }
    Ok(first)
}
