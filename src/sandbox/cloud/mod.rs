//! An AWS IoT look-alike on loopback.
