//! The core both front ends share.
