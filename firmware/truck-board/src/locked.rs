//! One value for the two threads.

use core::cell::RefCell;

use coldbench_sensor::shared::Shared;
use critical_section::Mutex;

/// A value that both threads use in turns. The other thread and interrupts wait meanwhile, so turns are short.
pub struct Locked<T>(Mutex<RefCell<T>>);

impl<T> Locked<T> {
    /// Wraps the value.
    pub const fn new(value: T) -> Self {
        Locked(Mutex::new(RefCell::new(value)))
    }
}

impl<T> Shared<T> for Locked<T> {
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        critical_section::with(|section| act(&mut self.0.borrow_ref_mut(section)))
    }
}
