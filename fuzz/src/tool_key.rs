//! `hierarkey key`'s reader of files; for the target that reads them.

#[path = "../../tools/src/key/cost.rs"]
mod cost;
#[path = "../../tools/src/key/pfx.rs"]
mod pfx;
#[path = "../../tools/src/key/reader.rs"]
pub mod reader;

/// The curves that the reader takes, as `tools/src/key/info.rs` has them.
pub mod info {
    pub const CURVES: [(&str, &[u8]); 3] = [
        ("p256", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        ("p384", &[6, 5, 0x2b, 0x81, 4, 0, 0x22]),
        ("p521", &[6, 5, 0x2b, 0x81, 4, 0, 0x23]),
    ];
}
