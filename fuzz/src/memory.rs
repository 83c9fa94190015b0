//! The caller's memory: each piece an allocation of its own and of its exact size, so that
//! AddressSanitizer sees whoever reads or writes beside it.

/// Memory for the time of one call, or of several.
#[derive(Default)]
pub struct Memory(Vec<(usize, usize)>);

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of `bytes`: its address. Readable and writable as long as `self` lives.
    pub fn copy(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len();
        let start = Box::into_raw(Box::<[u8]>::from(bytes)).cast::<u8>().expose_provenance();
        self.0.push((start, len));
        start
    }

    /// So many zeros.
    pub fn zeros(&mut self, len: usize) -> usize {
        self.copy(&vec![0; len])
    }

    /// A C structure, or a number.
    pub fn value<T: Copy>(&mut self, value: T) -> usize {
        let start = self.zeros(size_of::<T>());
        // SAFETY: as many bytes as a T has, just made.
        unsafe { std::ptr::with_exposed_provenance_mut::<T>(start).write_unaligned(value) };
        start
    }

    /// An array of them.
    pub fn array<T: Copy>(&mut self, values: &[T]) -> usize {
        let start = self.zeros(size_of_val(values));
        for (at, value) in values.iter().enumerate() {
            // SAFETY: inside the array just made.
            unsafe {
                std::ptr::with_exposed_provenance_mut::<T>(start).add(at).write_unaligned(*value);
            }
        }
        start
    }
}

/// `len` bytes that a call wrote to memory that is still there.
pub fn read(start: usize, len: usize) -> Vec<u8> {
    // SAFETY: the callers give what they got from `Memory`, and no more than is there.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(start), len) }.to_vec()
}

/// A number that a call wrote.
pub fn number(start: usize) -> u64 {
    u64::from_ne_bytes(read(start, 8).try_into().expect("8 bytes"))
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (start, len) in self.0.drain(..) {
            let start = std::ptr::with_exposed_provenance_mut::<u8>(start);
            // SAFETY: made by `copy` of a box of this length, and given up here only.
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, len)) });
        }
    }
}
