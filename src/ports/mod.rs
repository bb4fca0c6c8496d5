//! What a job needs from the world.
