//! The core: commands in, updates out, one task per port. Nothing here waits for a board or the cloud.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, watch},
    time::{Duration, MissedTickBehavior, interval},
};

use super::{
    bay::{Bay, Errand, Job},
    command::Command,
    desk::Desk,
    desk_work, follow,
    office::Office,
    outbox::{Updates, Waker, outbox},
    truck::{Handling, TruckHands},
    update::Update,
    world::World,
};
use crate::{
    commission::{Order, RelayChoice},
    domain::{JobId, Problem, ThingName},
    ports::{
        Cancel,
        board::{Access, OpenOptions, PortInfo},
        operator::Reply,
    },
};

/// Commands that may wait for the core. It takes each within moments.
const COMMANDS: usize = 64;
/// Errands that may wait for one port.
const ERRANDS: usize = 4;
/// Pieces of desk work at once: reading the record, asking the cloud.
const DESK_WORK: usize = 16;
/// How often an imitated truck is looked at while its board's job asks something.
const LOOK_AT_TRUCKS_EVERY: Duration = Duration::from_millis(500);
/// Things followed at once.
const MAX_FOLLOWED: usize = 32;

/// How the core is started.
pub struct CoreOptions {
    /// How often the list of ports is read.
    pub poll_every: Duration,
    /// How lines are used.
    pub open: OpenOptions,
    /// The site profile; the configured one without.
    pub site_file: Option<PathBuf>,
    /// The record; the user's own without.
    pub ledger_file: Option<PathBuf>,
    /// Wakes the screen after an update.
    pub waker: Waker,
    /// Dropped when the core has ended, so that whoever waits for its other end knows.
    pub alive: Option<std::sync::mpsc::Sender<()>>,
}

impl CoreOptions {
    /// The usual ones.
    pub fn new(waker: Waker) -> Self {
        let (site_file, ledger_file) = (None, None);
        CoreOptions {
            poll_every: Duration::from_millis(1500),
            open: OpenOptions::default(),
            site_file,
            ledger_file,
            waker,
            alive: None,
        }
    }
}

/// The screen's way to the core. The core ends when the last clone is dropped.
#[derive(Clone)]
pub struct CoreHandle {
    commands: mpsc::Sender<Command>,
    office: Arc<Office>,
}

impl CoreHandle {
    /// Sends a command. Never waits; `false` when the core is so far behind that the command was dropped.
    pub fn send(&self, command: Command) -> bool {
        let is_sent = self.commands.try_send(command).is_ok();
        if !is_sent {
            self.office.outbox.count_dropped(1);
        }
        is_sent
    }

    /// Updates, readings and commands that were dropped because somebody was slow.
    pub fn dropped(&self) -> u64 {
        self.office.outbox.dropped()
    }
}

/// The core.
pub struct Core {
    office: Arc<Office>,
    bays: BTreeMap<String, BayHandle>,
    followed: BTreeMap<ThingName, Cancel>,
    desk_work: Arc<Semaphore>,
    hands: Option<Arc<dyn TruckHands>>,
}

struct BayHandle {
    errands: mpsc::Sender<Errand>,
    presence: watch::Sender<Option<PortInfo>>,
    desk: Arc<Desk>,
}

impl Core {
    /// Starts the core on a runtime.
    pub fn start(world: Arc<dyn World>, runtime: &Handle, options: CoreOptions) -> (CoreHandle, Updates) {
        let (outbox, updates) = outbox(options.waker);
        let office = Arc::new(Office::new(world, outbox, options.open, options.ledger_file));
        let (commands, orders) = mpsc::channel(COMMANDS);
        let core = Core {
            office: office.clone(),
            bays: BTreeMap::new(),
            followed: BTreeMap::new(),
            desk_work: Arc::new(Semaphore::new(DESK_WORK)),
            hands: office.world.truck_hands(),
        };
        runtime.spawn(async move {
            core.run(orders, options.site_file, options.poll_every).await;
            drop(options.alive);
        });
        (CoreHandle { commands, office }, updates)
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Command>, site_file: Option<PathBuf>, poll_every: Duration) {
        // The site first: what follows works with it.
        desk_work::run(&self.office, Command::LoadSite { file: site_file }).await;
        desk_work::tell_settings(&self.office).await;
        self.at_the_desk(Command::LoadJobs).await;
        let (sender, mut lists) = mpsc::channel(1);
        let mut look = interval(LOOK_AT_TRUCKS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let poll = tokio::spawn(poll_ports(self.office.clone(), poll_every, sender));
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(command) => self.take(command).await,
                    None => break,
                },
                Some(list) = lists.recv() => self.ports(list).await,
                _ = look.tick(), if self.hands.is_some() => self.look_at_trucks(),
            }
        }
        poll.abort();
        self.followed.values().for_each(Cancel::cancel);
        self.office.close().await;
    }

    async fn take(&mut self, command: Command) {
        let doing = command.doing();
        let (port, taken) = match command {
            Command::Refresh => (None, self.refresh()),
            Command::Commission { port, truck, thing, calibration } => {
                let order = Order {
                    port: port.clone(),
                    truck,
                    thing,
                    host_key: false,
                    calibration,
                    relay: RelayChoice::default(),
                };
                let taken = self.begin_here(&port, Job::Commission(Box::new(order)));
                (Some(port), taken)
            }
            Command::Resume { job, port } => {
                let taken = self.begin_here(&port, Job::Resume(job));
                (Some(port), taken)
            }
            Command::Undo { job } => (None, self.undo(job)),
            Command::Cancel { port, reason } => {
                let taken = self.cancel(&port, reason).await;
                (Some(port), taken)
            }
            Command::Keep { port } => {
                let taken = self.keep(&port).await;
                (Some(port), taken)
            }
            Command::Answer { port, reply } => {
                let taken = self.answer(&port, reply).await;
                (Some(port), taken)
            }
            Command::HandleTruck { port, handling } => {
                self.handle_truck(port, handling).await;
                (None, Ok(()))
            }
            Command::Decommission { thing } => (None, self.decommission(thing).await),
            Command::WatchThing { thing } => (None, self.follow(thing)),
            Command::Unwatch { thing } => {
                self.followed.remove(&thing).iter().for_each(Cancel::cancel);
                (None, Ok(()))
            }
            other => {
                self.at_the_desk(other).await;
                (None, Ok(()))
            }
        };
        if let Err(problem) = taken {
            self.office.outbox.tell(Update::Failed { port, doing, problem }).await;
        }
    }

    /// Does what needs no port beside the core's own work.
    async fn at_the_desk(&self, command: Command) {
        match self.desk_work.clone().try_acquire_owned() {
            Ok(permit) => {
                let office = self.office.clone();
                tokio::spawn(async move {
                    desk_work::run(&office, command).await;
                    drop(permit);
                });
            }
            Err(_) => {
                let problem = Problem::new("core.busy", "Too much is being done at once", "Try again in a moment");
                self.office.outbox.tell(Update::Failed { port: None, doing: command.doing(), problem }).await;
            }
        }
    }

    fn refresh(&self) -> Result<(), Problem> {
        for bay in self.bays.values().filter(|bay| !bay.desk.is_taken()) {
            // A full queue holds a look already.
            let _ = bay.errands.try_send(Errand::Look);
        }
        Ok(())
    }

    fn begin_here(&mut self, port: &str, job: Job) -> Result<(), Problem> {
        match self.bays.get(port).filter(|bay| bay.presence.borrow().is_some()) {
            Some(bay) => bay.begin(job),
            None => {
                Err(Problem::new("port.missing", format!("There is no board at {port}"), "Plug the board in again"))
            }
        }
    }

    /// Undoes with the board where it is now; without it, at the port it was.
    fn undo(&mut self, job: JobId) -> Result<(), Problem> {
        let record = self.office.ledger()?.ledger.job(&job)?;
        let record = record.ok_or_else(|| {
            Problem::new("job.unknown", format!("The record has no job {job}"), "Read the record again")
        })?;
        let here = record.mac.and_then(|mac| self.bays.values().find(|bay| bay.desk.has_board(mac)));
        match here {
            Some(bay) => bay.begin(Job::Undo(job)),
            None => self.bay(&record.port).begin(Job::Undo(job)),
        }
    }

    async fn decommission(&mut self, thing: ThingName) -> Result<(), Problem> {
        if let Some(bay) = self.bays.values().find(|bay| bay.desk.has_thing(thing.as_str())) {
            return bay.begin(Job::Decommission(thing));
        }
        self.at_the_desk(Command::Decommission { thing }).await;
        Ok(())
    }

    async fn cancel(&self, port: &str, reason: String) -> Result<(), Problem> {
        if !self.bays.get(port).is_some_and(|bay| bay.desk.cancel()) {
            return Err(Problem::new("station.idle", "No job runs at this board", "Nothing needs to be cancelled"));
        }
        tracing::info!(port, reason, "the job is cancelled");
        self.office.outbox.tell(Update::Cancelling { port: port.to_owned(), reason }).await;
        Ok(())
    }

    async fn answer(&self, port: &str, reply: Reply) -> Result<(), Problem> {
        if !self.bays.get(port).is_some_and(|bay| bay.desk.answer(reply)) {
            let advice = "Wait for the next question";
            return Err(Problem::new("station.no-question", "Nothing is asked at this board now", advice));
        }
        self.office.outbox.tell(Update::Answered { port: port.to_owned() }).await;
        Ok(())
    }

    async fn handle_truck(&self, port: String, handling: Handling) {
        let Some(hands) = &self.hands else { return };
        hands.handle(&port, handling);
        if let Some(truck) = hands.look(&port) {
            self.office.outbox.tell(Update::Truck { port, truck }).await;
        }
    }

    /// Tells how the imitated trucks look whose boards' jobs ask for a hand now.
    fn look_at_trucks(&self) {
        let Some(hands) = &self.hands else { return };
        for (port, _) in self.bays.iter().filter(|(_, bay)| bay.desk.is_asked()) {
            if let Some(truck) = hands.look(port) {
                self.office.outbox.offer(Update::Truck { port: port.clone(), truck });
            }
        }
    }

    async fn keep(&self, port: &str) -> Result<(), Problem> {
        if self.bays.get(port).is_some_and(|bay| bay.desk.is_taken()) {
            return Err(busy());
        }
        self.office.outbox.tell(Update::PutAway { port: port.to_owned() }).await;
        Ok(())
    }

    fn follow(&mut self, thing: ThingName) -> Result<(), Problem> {
        self.followed.retain(|_, cancel| !cancel.is_cancelled());
        if self.followed.contains_key(&thing) {
            return Ok(());
        }
        if self.followed.len() == MAX_FOLLOWED {
            let sentence = format!("{MAX_FOLLOWED} things are followed already");
            return Err(Problem::new("live.too-many", sentence, "Close one of them first"));
        }
        let cancel = Cancel::default();
        self.followed.insert(thing.clone(), cancel.clone());
        tokio::spawn(follow::follow(self.office.clone(), thing, cancel));
        Ok(())
    }

    /// Takes a new list of ports.
    async fn ports(&mut self, list: Vec<PortInfo>) {
        let mut here = BTreeSet::new();
        for mut info in list.into_iter().filter(may_have_a_board) {
            here.insert(info.port.clone());
            let outbox = self.office.outbox.clone();
            let bay = self.bay(&info.port);
            if info.access == Access::Busy && bay.desk.holds_line() {
                // Busy with this program itself.
                (info.access, info.advice) = (Access::Ok, String::new());
            }
            if bay.presence.borrow().as_ref() != Some(&info) {
                outbox.tell(Update::Port(info.clone())).await;
                bay.presence.send_replace(Some(info));
            }
        }
        for (port, bay) in self.bays.iter().filter(|(port, _)| !here.contains(*port)) {
            if bay.presence.borrow().is_some() {
                bay.presence.send_replace(None);
                self.office.outbox.tell(Update::Unplugged { port: port.clone() }).await;
            }
        }
    }

    /// The bay of a port, made at the first sight of it.
    fn bay(&mut self, port: &str) -> &BayHandle {
        self.bays.entry(port.to_owned()).or_insert_with(|| {
            let (errands, waiting) = mpsc::channel(ERRANDS);
            let (presence, seen) = watch::channel(None);
            let desk = Arc::new(Desk::default());
            let bay = Bay {
                port: port.to_owned(),
                office: self.office.clone(),
                desk: desk.clone(),
                errands: waiting,
                presence: seen,
                told: None,
            };
            tokio::spawn(bay.run());
            BayHandle { errands, presence, desk }
        })
    }
}

impl BayHandle {
    fn begin(&self, job: Job) -> Result<(), Problem> {
        let cancel = self.desk.take().ok_or_else(busy)?;
        self.errands.try_send(Errand::Job(job, cancel)).map_err(|_| {
            self.desk.give_back();
            busy()
        })
    }
}

fn busy() -> Problem {
    Problem::new("station.busy", "A job runs at this board", "Wait for its end, or cancel it")
}

/// Leaves out what is built into the computer: no board is behind it, and looking there would disturb what is.
fn may_have_a_board(info: &PortInfo) -> bool {
    let is_built_in = ["/dev/ttyS", "/dev/ttyAMA", "/dev/cu.Bluetooth", "/dev/tty.Bluetooth"];
    info.usb_id.is_some() || !is_built_in.iter().any(|prefix| info.port.starts_with(prefix))
}

/// Reads the list of ports again and again, and passes on what has changed.
async fn poll_ports(office: Arc<Office>, every: Duration, lists: mpsc::Sender<Vec<PortInfo>>) {
    let boards = office.world.boards();
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        tick.tick().await;
        let list = boards.ports().await;
        // A line that this program opens and closes changes the list too, so the core may find nothing new in it.
        if last.as_ref() != Some(&list) {
            last = Some(list.clone());
            if lists.send(list).await.is_err() {
                return;
            }
        }
    }
}
