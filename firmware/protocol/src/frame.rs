//! Channels, framing and checksum on the serial line.
