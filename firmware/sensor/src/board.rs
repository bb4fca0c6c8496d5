//! The whole board: sampling, readings, answers to the tool.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use coldbench_protocol::{
    Calibration, Hello, LINE_RATES, PROTOCOL_VERSION, RawSensors, Refusal, Request, Response, Settings,
};

use crate::{
    alerts::{Alerts, Observation},
    backlog::{Late, owner_of},
    calibration,
    clock::{Clock, utc_text},
    door::Door,
    hardware::{Backlog, BoardFacts, Item, Light, Peripherals, Store},
    identity::{Connection, Credentials},
    kept,
    payload::{FaultCode, PAYLOAD_VERSION, Reading, Sensor, SensorFault, hundredths, millionths},
    report::Report,
    schedule::Schedule,
    session::News,
    shadow::{self, Rejected},
    supply::Supply,
    thermometers::Thermometers,
};

/// What the main loop has to pass on.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A reading was made. Send these bytes over USB; over MQTT, by [`Board::send_reading`], only when `dated`, followed
    /// by [`Board::reported`].
    Reading {
        /// The one JSON string.
        json: String,
        /// The clock was set, so the reading carries a time.
        dated: bool,
    },
    /// Log text for the tool, one line.
    Log(String),
}

/// What the main loop has to do after an answer was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start anew.
    Reboot,
    /// Start the ROM loader.
    RebootToLoader,
    /// [`Board::connection`] changed: end the session and start one with the new identity, if there is one.
    ConnectionChanged,
    /// Interval or thresholds changed: publish [`Board::reported`].
    SettingsChanged,
    /// The tool offers a way to the broker, or not any more: pass it on to [`Relay::offer`](crate::relay::Relay::offer).
    RelayOffered(bool),
    /// Speak at this rate, in baud, on the serial line where the request came from.
    LineRate(u32),
}

/// Whether the shadow's reported state is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportDue(pub bool);

/// Why a shadow document was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeltaError {
    /// It is no shadow document.
    Parse,
    /// The new settings could not be kept; the text says more.
    Store(String),
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeltaError::Parse => f.write_str("the shadow document cannot be read"),
            DeltaError::Store(why) => write!(f, "the settings from the shadow were not kept: {why}"),
        }
    }
}

impl core::error::Error for DeltaError {}

/// The logic of one board on its peripherals and its store.
pub struct Board<P, S> {
    pub(crate) peripherals: P,
    pub(crate) store: S,
    facts: BoardFacts,
    pub(crate) credentials: Credentials,
    calibration: Calibration,
    pub(crate) settings: Settings,
    /// What the last shadow document asked for in vain.
    rejected: Rejected,
    clock: Clock,
    schedule: Schedule,
    door: Door,
    supply: Supply,
    thermometers: Thermometers,
    alerts: Alerts,
    light: Light,
    last_reading: Option<Reading>,
    pub(crate) late: Late,
}

impl<P: Peripherals, S: Store + Backlog> Board<P, S> {
    /// Starts the board: loads what is kept; what is missing, damaged or out of bounds is replaced by its default.
    pub fn new(mut peripherals: P, mut store: S) -> Self {
        let now_millis = peripherals.uptime_millis();
        let calibration: Calibration = kept::load(Item::Calibration, &mut store)
            .filter(|kept| calibration::check(kept).is_ok())
            .unwrap_or_default();
        let settings: Settings =
            kept::load(Item::Settings, &mut store).filter(|kept| shadow::check(kept).is_ok()).unwrap_or_default();
        let credentials = Credentials::load(&mut store);
        store.claim(owner_of(credentials.thing_name()));
        peripherals.set_light(Light::default());
        Board {
            facts: peripherals.facts(),
            credentials,
            door: Door::new(peripherals.door_high(), calibration.door_open_is_high, now_millis),
            schedule: Schedule::new(settings.interval_secs, now_millis),
            calibration,
            settings,
            rejected: Rejected::new(),
            clock: Clock::default(),
            supply: Supply::default(),
            thermometers: Thermometers::default(),
            alerts: Alerts::default(),
            light: Light::default(),
            last_reading: None,
            late: Late::default(),
            peripherals,
            store,
        }
    }

    /// To be called every 5 to 10 ms: samples door and supply, starts and fetches conversions, makes readings.
    pub fn poll(&mut self) -> Vec<Event> {
        let now_millis = self.peripherals.uptime_millis();
        self.door.sample(self.peripherals.door_high(), now_millis);
        self.supply.sample(self.peripherals.supply_volts());

        let mut events = Vec::new();
        if self.thermometers.step(&mut self.peripherals, now_millis) {
            let faults = self.faults();
            self.judge(&faults, now_millis, &mut events);
            if self.schedule.reading_is_due() {
                events.push(self.make_reading(faults, now_millis));
            }
        }
        if self.schedule.sampling_is_due(now_millis) {
            let assigned = [self.calibration.outside_probe, self.calibration.freezer_probe].into_iter().flatten();
            self.thermometers.start(assigned, &mut self.peripherals, now_millis);
        }
        events
    }

    /// Who the board is; sent unasked (as answer number 0) after each start.
    pub fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            firmware: self.facts.firmware.clone(),
            image_sha256: self.facts.image_sha256,
            mac: self.facts.mac,
            chip: self.facts.chip.clone(),
            thing_name: self.credentials.thing_name().map(Into::into),
            reset_reason: self.facts.reset_reason.clone(),
        }
    }

    /// Answers one request. The effect, if any, is to be carried out after the answer was sent.
    ///
    /// Probes are measured every 5 s or faster; [`Request::ReadSensors`] gives the newest values and does not wait.
    pub fn answer(&mut self, request: Request) -> (Result<Response, Refusal>, Option<Effect>) {
        let (result, effect) = match request {
            Request::Hello => (Ok(Response::Hello(self.hello())), None),
            Request::MakeKey(subject) => {
                let fill_random = |bytes: &mut [u8]| self.peripherals.fill_random(bytes);
                (self.credentials.make_key(&subject, &mut self.store, fill_random).map(Response::Csr), None)
            }
            Request::Install(install) => (
                self.credentials.install(install, &mut self.store).map(Response::Identity),
                Some(Effect::ConnectionChanged),
            ),
            Request::ReadIdentity => (Ok(Response::Identity(self.credentials.identity())), None),
            Request::ReadSensors => (Ok(Response::Sensors(self.raw_sensors())), None),
            Request::ReadCalibration => (Ok(Response::Calibration(self.calibration.clone())), None),
            Request::SetCalibration(new) => (self.set_calibration(new).map(Response::Calibration), None),
            Request::SetClock { unix_millis } => (self.set_clock(unix_millis).map(|()| Response::Done), None),
            Request::ReadSettings => (Ok(Response::Settings(self.settings.clone())), None),
            Request::SetSettings(new) => {
                (self.set_settings(new).map(Response::Settings), Some(Effect::SettingsChanged))
            }
            Request::EraseCredentials => {
                (self.credentials.erase(&mut self.store).map(|()| Response::Done), Some(Effect::ConnectionChanged))
            }
            Request::Reboot => (Ok(Response::Done), Some(Effect::Reboot)),
            Request::RebootToLoader => (Ok(Response::Done), Some(Effect::RebootToLoader)),
            Request::Relay(offered) => (Ok(Response::Done), Some(Effect::RelayOffered(offered))),
            Request::SetLineRate(baud) => match LINE_RATES.contains(&baud) {
                true => (Ok(Response::Done), Some(Effect::LineRate(baud))),
                false => (Err(Refusal::Invalid("the board does not offer this line rate".into())), None),
            },
        };
        let effect = effect.filter(|_| result.is_ok());
        if effect == Some(Effect::ConnectionChanged) {
            self.store.claim(owner_of(self.credentials.thing_name()));
        }
        (result, effect)
    }

    /// Sets the clock, from the tool or from the network.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] outside the years 2020 to 2099.
    pub fn set_clock(&mut self, unix_millis: u64) -> Result<(), Refusal> {
        let uptime_millis = self.peripherals.uptime_millis();
        self.clock
            .set(unix_millis, uptime_millis)
            .map_err(|_| Refusal::Invalid("the time is not in the years 2020 to 2099".into()))
    }

    /// UTC in milliseconds since 1970; `None` until the clock was set.
    pub fn unix_millis(&mut self) -> Option<u64> {
        self.clock.unix_millis(self.peripherals.uptime_millis())
    }

    /// What a session needs; `None` while no identity is installed.
    pub fn connection(&self) -> Option<Connection> {
        self.credentials.connection()
    }

    /// Applies a shadow document: one of `update/delta` or of `get/accepted`. Returns whether settings changed. Values
    /// out of bounds are left alone and named under `rejected` in [`Board::reported`]; publish that in either case.
    ///
    /// # Errors
    /// The settings stay as they were.
    pub fn delta(&mut self, json: &str) -> Result<bool, DeltaError> {
        let applied = shadow::apply(json, &self.settings).map_err(|_| DeltaError::Parse)?;
        let changed = applied.settings != self.settings;
        if changed {
            self.set_settings(applied.settings).map_err(|refusal| DeltaError::Store(format!("{refusal}")))?;
        }
        self.rejected = applied.rejected;
        Ok(changed)
    }

    /// The document for `update`: `{"state":{"reported":{…}}}`, with a summary of the last reading.
    pub fn reported(&self) -> String {
        Report {
            facts: &self.facts,
            settings: &self.settings,
            calibration_job: &self.calibration.job,
            rejected: &self.rejected,
            backlog: (self.store.waiting(), self.store.dropped()),
            reading: self.last_reading.as_ref(),
        }
        .to_json()
    }

    /// Takes what the network says. Publish [`Board::reported`] when it says so; the text is for the log.
    pub fn hear(&mut self, news: News) -> (ReportDue, Option<String>) {
        match news {
            News::Online => (ReportDue(true), None),
            News::Time { unix_millis } => (ReportDue(self.set_clock(unix_millis).is_ok()), None),
            News::Shadow(json) => {
                let log = self.delta(&json).err().map(|error| format!("{error}"));
                (ReportDue(true), log)
            }
            News::Log(text) => (ReportDue(false), Some(text)),
        }
    }

    /// The last reading; `None` before the first.
    pub fn last_reading(&self) -> Option<&Reading> {
        self.last_reading.as_ref()
    }

    /// The peripherals, for whoever drives the board.
    pub fn peripherals(&mut self) -> &mut P {
        &mut self.peripherals
    }

    /// The store, for whoever drives the board.
    pub fn store(&mut self) -> &mut S {
        &mut self.store
    }

    fn raw_sensors(&mut self) -> RawSensors {
        RawSensors {
            probes: self.thermometers.probes(),
            supply_volts: self.peripherals.supply_volts(),
            door_high: self.door.high(),
            door_raw_edges: self.door.raw_edges(),
            door_edges: self.door.edges(),
            position: self.peripherals.position(),
        }
    }

    fn set_calibration(&mut self, new: Calibration) -> Result<Calibration, Refusal> {
        calibration::check(&new).map_err(Refusal::Invalid)?;
        kept::save(Item::Calibration, &new, &mut self.store)?;
        let now_millis = self.peripherals.uptime_millis();
        self.door.set_polarity(new.door_open_is_high, now_millis);
        self.calibration = new;
        Ok(self.calibration.clone())
    }

    fn set_settings(&mut self, new: Settings) -> Result<Settings, Refusal> {
        shadow::check(&new).map_err(Refusal::Invalid)?;
        kept::save(Item::Settings, &new, &mut self.store)?;
        if new.interval_secs != self.settings.interval_secs {
            self.schedule = Schedule::new(new.interval_secs, self.peripherals.uptime_millis());
        }
        self.settings = new;
        Ok(self.settings.clone())
    }

    fn faults(&self) -> Vec<SensorFault> {
        let freezer = self.thermometers.freezer_celsius(&self.calibration).err();
        let outside = self.thermometers.outside_celsius(&self.calibration).and_then(Result::err);
        let supply_is_silent = self.supply.volts().is_none();
        [
            (Sensor::Freezer, freezer.map(FaultCode::from)),
            (Sensor::Outside, outside.map(FaultCode::from)),
            (Sensor::Supply, supply_is_silent.then_some(FaultCode::Missing)),
        ]
        .into_iter()
        .filter_map(|(sensor, fault)| Some(SensorFault { sensor, fault: fault? }))
        .collect()
    }

    /// Alerts and light after a sampling.
    fn judge(&mut self, faults: &[SensorFault], now_millis: u64, events: &mut Vec<Event>) {
        let seen = Observation {
            freezer_celsius: self.thermometers.freezer_celsius(&self.calibration).ok(),
            supply_volts: self.corrected_volts(self.supply.volts()),
            door_open_millis: self.door.open_for_millis(now_millis),
        };
        self.alerts.observe(&seen, &self.settings.thresholds, now_millis);
        let for_faults = if faults.is_empty() { Light::Green } else { Light::Amber };
        let light = self.alerts.active().into_iter().map(|alert| alert.light()).fold(for_faults, Light::max);
        if light != self.light {
            events.push(Event::Log(format!("light {light:?}, was {:?}", self.light)));
            self.light = light;
            self.peripherals.set_light(light);
        }
    }

    fn make_reading(&mut self, faults: Vec<SensorFault>, now_millis: u64) -> Event {
        let door = self.door.take_record(now_millis);
        let lowest_volts = self.supply.take_lowest_volts();
        let position = self.peripherals.position();
        let time = self.clock.unix_millis(now_millis).map(utc_text);
        let dated = time.is_some();
        let reading = Reading {
            v: PAYLOAD_VERSION,
            seq: self.last_reading.as_ref().map_or(1, |last| last.seq.wrapping_add(1)),
            time,
            uptime_secs: now_millis / 1000,
            thing: self.credentials.thing_name().map(Into::into),
            interval_secs: self.settings.interval_secs,
            freezer_celsius: self.thermometers.freezer_celsius(&self.calibration).ok().map(hundredths),
            outside_celsius: self.thermometers.outside_celsius(&self.calibration).and_then(Result::ok).map(hundredths),
            supply_volts: self.corrected_volts(self.supply.volts()).map(hundredths),
            supply_min_volts: self.corrected_volts(lowest_volts).map(hundredths),
            door_open: self.door.is_open(),
            door_openings: door.openings,
            door_open_secs: hundredths(door.open_millis as f32 / 1000.0),
            latitude_deg: position.map(|position| millionths(position.latitude_deg)),
            longitude_deg: position.map(|position| millionths(position.longitude_deg)),
            status: self.light,
            alerts: self.alerts.active(),
            faults,
            late: false,
        };
        let json = reading.to_json();
        self.last_reading = Some(reading);
        Event::Reading { json, dated }
    }

    fn corrected_volts(&self, raw_volts: Option<f32>) -> Option<f32> {
        raw_volts.map(|volts| self.calibration.supply.apply(volts))
    }
}

#[cfg(test)]
mod tests;
