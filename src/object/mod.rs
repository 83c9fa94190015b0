//! LAYER 3: objects and their attributes: what they may hold, who may set it, how they are found.
//! Knows nothing of sessions and of the store.

pub mod template;
