//! LAYER 3: mechanisms. One table says what there is; one file each holds the arithmetic.

pub mod parameter;
