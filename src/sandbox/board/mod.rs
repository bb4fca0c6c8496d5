//! An imitated truck board behind a pseudo-terminal.
