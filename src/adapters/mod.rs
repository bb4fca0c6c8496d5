//! What reaches the world outside.
