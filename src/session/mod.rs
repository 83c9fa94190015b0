//! LAYER 2: sessions and the operations in them.

pub mod operation;
