//! The fuzzer's input, taken byte by byte: what it decides, in the order it is asked.

/// What is left of the input. At its end every answer is 0, so that an input can be cut anywhere.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let number = if end > 256 { self.u16().into() } else { usize::from(self.u8()) };
        number % end
    }

    /// Once in `n`.
    pub fn once_in(&mut self, n: u8) -> bool {
        self.u8() % n == n - 1
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// At most `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// A number that somebody gets wrong somewhere, or any small one.
    pub fn number(&mut self) -> u64 {
        const EDGES: [u64; 22] = [
            0,
            1,
            2,
            3,
            7,
            8,
            9,
            12,
            13,
            15,
            16,
            17,
            24,
            31,
            32,
            33,
            64,
            128,
            256,
            0xffff,
            1 << 31,
            1 << 32,
        ];
        const FAR: [u64; 6] =
            [u64::MAX, u64::MAX - 1, u64::MAX >> 1, (u64::MAX >> 1) + 1, u64::MAX >> 3, 1 << 62];
        match self.u8() {
            at @ 0..=127 => EDGES[usize::from(at) % EDGES.len()],
            at @ 128..=159 => FAR[usize::from(at) % FAR.len()],
            160..=223 => self.u8().into(),
            _ => self.u16().into(),
        }
    }
}
