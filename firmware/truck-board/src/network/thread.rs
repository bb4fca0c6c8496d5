//! The network's thread.

use alloc::boxed::Box;
use core::ffi::c_void;

use embassy_executor::Spawner;
use esp_hal::peripherals::WIFI;
use esp_rtos::embassy::Executor;
use zeroize::Zeroizing;

use super::{State, worker::Worker};

/// Stack of the thread, from the heap. A handshake with RSA takes the most.
const STACK_LEN: usize = 20 * 1024;
/// The lowest: everything else goes before.
const PRIORITY: u32 = 0;

struct Start {
    state: &'static State,
    seed: Zeroizing<[u8; 32]>,
    wifi: WIFI<'static>,
}

/// Starts the thread. It never ends.
#[allow(unsafe_code, reason = "a thread is given its parameter as a pointer")]
pub(super) fn start(state: &'static State, seed: Zeroizing<[u8; 32]>, wifi: WIFI<'static>) {
    let start = Box::into_raw(Box::new(Start { state, seed, wifi }));
    // SAFETY: `run` takes the box over, once; what is in it may go to another thread.
    unsafe { esp_radio_rtos_driver::task_create("network", run, start.cast(), PRIORITY, None, STACK_LEN) };
}

#[allow(unsafe_code, reason = "a thread is given its parameter as a pointer")]
extern "C" fn run(start: *mut c_void) {
    // SAFETY: made by `Box::into_raw` in `start`, and given to this thread alone.
    let start = *unsafe { Box::from_raw(start.cast::<Start>()) };
    let executor: &'static mut Executor = Box::leak(Box::new(Executor::new()));
    executor.run(|spawner| spawn(spawner, start))
}

fn spawn(spawner: Spawner, Start { state, seed, wifi }: Start) {
    if let Some(worker) = Worker::new(state, seed, wifi)
        && let Ok(session) = work(worker, spawner)
    {
        spawner.spawn(session);
    }
}

#[embassy_executor::task]
async fn work(worker: Worker, spawner: Spawner) {
    worker.run(spawner).await
}
