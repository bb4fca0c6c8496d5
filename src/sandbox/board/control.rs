//! What people, tests and the window do to an imitated board.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use coldbench_sensor::hardware::Light;

use super::{
    physics::Probe,
    scene::{DoorSwitch, ProbePlace, ProbeWire, Scene, TrueValues},
};

/// Most orders that wait; more are refused.
const MAX_ORDERS: usize = 64;

/// What the board is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Activity {
    /// Between reset and start.
    #[default]
    Starting,
    /// The serial loader waits for or talks to a client.
    Loader,
    /// The app of this version runs.
    App(String),
    /// Stopped for good.
    Stopped,
}

/// How the session with the broker stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NetworkState {
    /// No identity is installed, or there is no network.
    #[default]
    Off,
    /// Trying; with the reason of the last failure, if any.
    Connecting(Option<String>),
    /// The session is up.
    Up,
}

/// What a board does between two looks at its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    Reset,
    EnterLoader,
    Unplug,
    Plug,
    DropLink(Duration),
    Hang(Duration),
    Garbage(usize),
    FailNextWrite,
    SilentErase,
}

/// What the board's threads and its [`BoardControl`]s share.
#[derive(Debug)]
pub(super) struct Shared {
    scene: Mutex<Scene>,
    orders: Mutex<VecDeque<Order>>,
    activity: Mutex<Activity>,
    network: Mutex<NetworkState>,
    light: Mutex<Light>,
    stopped: AtomicBool,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        Shared {
            scene: Mutex::new(Scene::from_seed(seed)),
            orders: Mutex::default(),
            activity: Mutex::default(),
            network: Mutex::default(),
            light: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn scene(&self) -> MutexGuard<'_, Scene> {
        lock(&self.scene)
    }

    pub(super) fn next_order(&self) -> Option<Order> {
        lock(&self.orders).pop_front()
    }

    pub(super) fn give(&self, order: Order) -> bool {
        let mut orders = lock(&self.orders);
        let room = orders.len() < MAX_ORDERS;
        if room {
            orders.push_back(order);
        }
        room
    }

    pub(super) fn set_activity(&self, activity: Activity) {
        *lock(&self.activity) = activity;
    }

    pub(super) fn set_network(&self, state: NetworkState) {
        *lock(&self.network) = state;
    }

    pub(super) fn set_light(&self, light: Light) {
        *lock(&self.light) = light;
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// A panic elsewhere is reported there; what the lock guards is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hand on the board and its truck. Orders are carried out in turn within a tenth of a second; when more than 64 wait,
/// further ones are dropped.
#[derive(Debug, Clone)]
pub struct BoardControl {
    shared: Arc<Shared>,
}

impl BoardControl {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        BoardControl { shared }
    }

    /// Opens the freezer door.
    pub fn open_door(&self) {
        self.shared.scene().change(|scene| scene.influence.door_open = true);
    }

    /// Closes the freezer door.
    pub fn close_door(&self) {
        self.shared.scene().change(|scene| scene.influence.door_open = false);
    }

    /// Lets the door switch work or stick.
    pub fn set_door_switch(&self, switch: DoorSwitch) {
        self.shared.scene().change(|scene| scene.door_switch = switch);
    }

    /// Puts a probe in a bath, or back to its place: [`Probe::InBath`] of 33 °C is a hand around it.
    pub fn place_probe(&self, place: ProbePlace, probe: Probe) {
        self.shared.scene().change(|scene| scene.place_probe(place, probe));
    }

    /// Breaks, shorts or mends the wire of a probe.
    pub fn set_probe_wire(&self, place: ProbePlace, wire: ProbeWire) {
        self.shared.scene().change(|scene| scene.wires[place as usize] = wire);
    }

    /// Connects a bench supply of this voltage in place of the battery, or the battery again.
    pub fn set_supply_volts(&self, volts: Option<f64>) {
        self.shared.scene().change(|scene| scene.influence.supply_volts = volts);
    }

    /// Connects the supply input to the converter or leaves it open, so that the converter does not answer.
    pub fn set_supply_connected(&self, connected: bool) {
        self.shared.scene().change(|scene| scene.supply_connected = connected);
    }

    /// Turns the starter motor, which pulls the supply down by 5 V.
    pub fn crank(&self, duration: Duration) {
        self.shared.scene().change(|scene| scene.crank_until(Instant::now() + duration));
    }

    /// What reference instruments would show now.
    pub fn true_values(&self) -> TrueValues {
        self.shared.scene().now()
    }

    /// Presses RESET.
    pub fn reset(&self) {
        self.shared.give(Order::Reset);
    }

    /// Presses RESET while BOOT is held: the serial loader starts.
    pub fn enter_loader(&self) {
        self.shared.give(Order::EnterLoader);
    }

    /// Pulls the USB plug: the device vanishes and the board loses power.
    pub fn unplug(&self) {
        self.shared.give(Order::Unplug);
    }

    /// Plugs it in again: the board starts, the device appears under the same link.
    pub fn plug(&self) {
        self.shared.give(Order::Plug);
    }

    /// Lets the serial device vanish for a while; the board runs on.
    pub fn drop_link(&self, duration: Duration) {
        self.shared.give(Order::DropLink(duration));
    }

    /// Lets the board hear and do nothing for a while.
    pub fn hang(&self, duration: Duration) {
        self.shared.give(Order::Hang(duration));
    }

    /// Puts this many bytes of noise on the line.
    pub fn garbage(&self, bytes: usize) {
        self.shared.give(Order::Garbage(bytes));
    }

    /// Makes the loader's next write to flash fail.
    pub fn fail_next_flash_write(&self) {
        self.shared.give(Order::FailNextWrite);
    }

    /// What the board is doing.
    pub fn activity(&self) -> Activity {
        lock(&self.shared.activity).clone()
    }

    /// How the board's own session with the broker stands.
    pub fn network(&self) -> NetworkState {
        lock(&self.shared.network).clone()
    }

    /// What the light at the driver's place shows.
    pub fn light(&self) -> Light {
        *lock(&self.shared.light)
    }
}
