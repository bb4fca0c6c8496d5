//! One value for two: the lock is the platform's.

use core::cell::RefCell;

/// A value that two tasks or threads use in turns.
pub trait Shared<T> {
    /// Runs `act` on the value, alone. Short, and never from inside another `act`.
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R;
}

/// For the chip, where both are tasks of one executor.
impl<T> Shared<T> for RefCell<T> {
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.borrow_mut())
    }
}

/// For the host, where they may be on two threads.
#[cfg(any(test, feature = "std"))]
impl<T> Shared<T> for std::sync::Mutex<T> {
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        // A panic inside `act` leaves at worst one message more or less: no reason to stop the others.
        act(&mut self.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
