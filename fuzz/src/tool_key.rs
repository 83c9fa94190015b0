//! `hierarkey key`'s reader of files; for the target that reads them.

#[path = "../../tools/src/key/info.rs"]
pub mod info;
#[path = "../../tools/src/key/reader.rs"]
pub mod reader;
