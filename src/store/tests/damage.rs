//! Files that somebody changed, or a disk.
