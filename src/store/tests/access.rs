//! Who may read and write, and whose files are believed.
