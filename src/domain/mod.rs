//! The vocabulary. Pure: no I/O, clock, async or screen.
