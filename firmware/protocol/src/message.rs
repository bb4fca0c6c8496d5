//! Requests, answers and the vocabulary they share.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

/// Version of this protocol. A board that answers another version is flashed anew before anything else is asked of it.
pub const PROTOCOL_VERSION: u8 = 1;

/// One request with the number that its answer repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Number chosen by the tool; an answer with another number belongs to an earlier, timed-out request.
    pub number: u16,
    /// What the tool asks.
    pub request: Request,
}

/// The board's answer to one [`Call`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The number of the request.
    pub number: u16,
    /// The outcome.
    pub result: Result<Response, Refusal>,
}

/// What the tool asks of the board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Who are you? Answered by [`Response::Hello`]; the board also says it unasked (number 0) after each start.
    Hello,
    /// Make a P-256 key and a certificate signing request for this subject. Answered by [`Response::Csr`].
    MakeKey(Subject),
    /// Keep this identity. Answered by [`Response::Identity`], read back from where it is kept.
    Install(Install),
    /// What identity do you hold? Answered by [`Response::Identity`].
    ReadIdentity,
    /// Measure now. Answered by [`Response::Sensors`].
    ReadSensors,
    /// Answered by [`Response::Calibration`].
    ReadCalibration,
    /// Keep this calibration. Answered by [`Response::Calibration`], read back.
    SetCalibration(Calibration),
    /// Set the clock. Answered by [`Response::Done`].
    SetClock {
        /// Milliseconds since 1970-01-01T00:00:00Z.
        unix_millis: u64,
    },
    /// Answered by [`Response::Settings`].
    ReadSettings,
    /// Keep these settings. Answered by [`Response::Settings`], read back.
    SetSettings(Settings),
    /// Forget key, certificate, endpoint, thing name and network. Calibration stays. Answered by [`Response::Done`].
    EraseCredentials,
    /// Start anew. Answered by [`Response::Done`] before the board goes.
    Reboot,
    /// Start the ROM loader, so that a line without reset wires can flash. Answered by [`Response::Done`] before the board goes.
    RebootToLoader,
    /// This computer offers a way to the broker through the [tunnel](crate::tunnel), or not any more. Answered by
    /// [`Response::Done`]. A board that starts has no offer; it uses one while no network of its own is up.
    Relay(bool),
    /// Speak at this rate from now on, in baud; [`LINE_RATES`] are offered. Answered by [`Response::Done`] at the old
    /// rate. Where no frame can be read at the new one for two seconds, the board goes back to the first of
    /// [`LINE_RATES`], at which it also starts. Means nothing on USB.
    SetLineRate(u32),
}

/// The rates that a board offers on its serial line, in baud, slowest first.
pub const LINE_RATES: [u32; 4] = [115_200, 230_400, 460_800, 921_600];

/// What the board answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// Done; there is nothing to tell.
    Done,
    /// Who the board is.
    Hello(Hello),
    /// The certificate signing request, PEM. The key stays on the board.
    Csr(String),
    /// The identity as kept.
    Identity(Identity),
    /// What the sensors say now.
    Sensors(RawSensors),
    /// The calibration as kept.
    Calibration(Calibration),
    /// The settings as kept.
    Settings(Settings),
}

/// Why the board did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The request could not be decoded, or is newer than this firmware.
    NotUnderstood,
    /// A value in the request is outside its bounds; the text names it.
    Invalid(String),
    /// A certificate was to be installed, but there is no key for it.
    NoKey,
    /// The certificate's public key is not that of the board's key.
    KeyMismatch,
    /// The certificate or CA cannot be read.
    BadCertificate,
    /// The flash memory did not take it; the text says more.
    Storage(String),
    /// The board cannot do this; the text says why.
    Unsupported(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotUnderstood => f.write_str("the board did not understand the request"),
            Refusal::Invalid(what) => write!(f, "the board refused a value: {what}"),
            Refusal::NoKey => f.write_str("the board has no key for this certificate"),
            Refusal::KeyMismatch => f.write_str("the certificate does not belong to the board's key"),
            Refusal::BadCertificate => f.write_str("the board could not read the certificate"),
            Refusal::Storage(why) => write!(f, "the board could not store it: {why}"),
            Refusal::Unsupported(why) => write!(f, "the board cannot do this: {why}"),
        }
    }
}

/// Who the board is and what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the firmware.
    pub protocol: u8,
    /// Version of the firmware, as in its manifest.
    pub firmware: String,
    /// SHA-256 over the app image as it lies in flash (the bytes that the manifest's digest is over).
    pub image_sha256: [u8; 32],
    /// Base MAC address from efuse.
    pub mac: [u8; 6],
    /// Chip name as espflash writes it: `esp32c3`.
    pub chip: String,
    /// Name of the thing the board holds a certificate for; `None` while it is not commissioned.
    pub thing_name: Option<String>,
    /// Why the board started last: `power-on`, `software`, `watchdog`, `brown-out` or `unknown`.
    pub reset_reason: String,
}

/// Subject of the certificate. AWS IoT device certificates take no tags, so the job is carried here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Common name (CN): the thing name.
    pub common_name: String,
    /// Organizational unit (OU): the job that asked, as `job-<id>`.
    pub organizational_unit: String,
}

/// An identity to keep. Everything in it replaces what the board held.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// Name of the thing; also the MQTT client id.
    pub thing_name: String,
    /// Device certificate, PEM.
    pub certificate_pem: String,
    /// CA that the broker's certificate is checked against, PEM.
    pub ca_pem: String,
    /// Host name of the broker.
    pub endpoint: String,
    /// TCP port of the broker.
    pub port: u16,
    /// Topic of the readings.
    pub readings_topic: String,
    /// How the board reaches the broker.
    pub network: Network,
    /// Private key made on the host, PKCS#8 PEM; `None` when the board made its own.
    pub host_key_pem: Option<String>,
}

impl fmt::Debug for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Install")
            .field("thing_name", &self.thing_name)
            .field("endpoint", &self.endpoint)
            .field("port", &self.port)
            .field("readings_topic", &self.readings_topic)
            .finish_non_exhaustive()
    }
}

/// How the board reaches the broker.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// No network of its own: readings go over USB only.
    None,
    /// Wi-Fi station.
    WiFi {
        /// Name of the network.
        ssid: String,
        /// Its passphrase; never shown.
        passphrase: String,
    },
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::None => f.write_str("None"),
            Network::WiFi { ssid, .. } => write!(f, "WiFi({ssid})"),
        }
    }
}

/// The identity a board holds, without any secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Public key as DER `SubjectPublicKeyInfo` (RFC 5280); `None` while there is no key.
    pub public_key_der: Option<Vec<u8>>,
    /// SHA-256 of the certificate's DER, which is AWS IoT's certificate id; `None` while none is installed.
    pub certificate_sha256: Option<[u8; 32]>,
    /// SHA-256 of the CA's DER; `None` while none is installed.
    pub ca_sha256: Option<[u8; 32]>,
    /// Thing name, empty while none is installed.
    pub thing_name: String,
    /// Broker as `host:port`, empty while none is installed.
    pub endpoint: String,
}

/// What the sensors say, before calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawSensors {
    /// Every temperature probe on the 1-Wire bus, in the order of the search.
    pub probes: Vec<RawProbe>,
    /// Supply voltage as scaled by the nominal divider, in volts; `None` when the converter does not answer.
    pub supply_volts: Option<f32>,
    /// Level of the door input after debouncing: `true` is high.
    pub door_high: bool,
    /// Edges of the door input seen since the start, before debouncing: bounce shows here.
    pub door_raw_edges: u32,
    /// Edges since the start after debouncing.
    pub door_edges: u32,
    /// Position, where a receiver is fitted and has one.
    pub position: Option<Position>,
}

/// One temperature probe, measured now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawProbe {
    /// Address on the bus (family code first, CRC last).
    pub rom: ProbeRom,
    /// Temperature in °C before calibration, or why there is none.
    pub celsius: Result<f32, ProbeFault>,
    /// `true` when address or scratchpad are not those of a genuine DS18B20.
    pub clone: bool,
}

/// 64-bit address of a probe on the 1-Wire bus, family code first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProbeRom(pub [u8; 8]);

impl fmt::Display for ProbeRom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ProbeRom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a probe's answer is no temperature (DS18B20 data sheet; `domain.md`, traps).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeFault {
    /// Nothing answers at this address (drivers report −127 °C).
    Missing,
    /// The scratchpad's CRC-8 is wrong.
    Crc,
    /// The scratchpad is all zero: the data line is shorted. Its CRC passes and it would read 0.00 °C.
    Shorted,
    /// Configuration or reserved bytes are not those of a DS18B20.
    NotADs18b20,
    /// 85.00 °C, the value after power-on: no conversion took place.
    PowerOnValue,
    /// Outside −55…+125 °C.
    OutOfRange,
    /// The conversion did not end in time.
    Timeout,
}

impl fmt::Display for ProbeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProbeFault::Missing => "missing",
            ProbeFault::Crc => "bad checksum",
            ProbeFault::Shorted => "data line shorted",
            ProbeFault::NotADs18b20 => "not a DS18B20",
            ProbeFault::PowerOnValue => "power-on value",
            ProbeFault::OutOfRange => "out of range",
            ProbeFault::Timeout => "no answer in time",
        })
    }
}

/// A position from the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north.
    pub latitude_deg: f64,
    /// Degrees east.
    pub longitude_deg: f64,
}

/// What turns raw values into measurements. Kept by the board in a place of its own, which flashing never touches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Calibration {
    /// The probe in the freezer; `None` until probes are assigned (then the first on the bus is taken).
    pub freezer_probe: Option<ProbeRom>,
    /// The probe outside; `None` where none is fitted.
    pub outside_probe: Option<ProbeRom>,
    /// Correction of the freezer probe, °C.
    pub freezer: Line,
    /// Correction of the outside probe, °C.
    pub outside: Line,
    /// Correction of the supply voltage, V.
    pub supply: Line,
    /// Level of the door input that means "open".
    pub door_open_is_high: DoorPolarity,
    /// The job that calibrated; empty while the board is not calibrated.
    pub job: String,
}

/// A straight line: corrected = gain × raw + offset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Factor, without unit.
    pub gain: f32,
    /// Offset in the unit of the measurement.
    pub offset: f32,
}

impl Default for Line {
    fn default() -> Self {
        Line { gain: 1.0, offset: 0.0 }
    }
}

impl Line {
    /// The corrected value.
    pub fn apply(&self, raw: f32) -> f32 {
        self.gain * raw + self.offset
    }
}

/// Level of the door input that means "open".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum DoorPolarity {
    /// A reed contact to ground with pull-up: the magnet leaves, the contact opens, the input goes high.
    #[default]
    OpenIsHigh,
    /// The other way round.
    OpenIsLow,
}

/// What the cloud may change on the board: interval and thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Seconds between two readings, 1 to 3600.
    pub interval_secs: u16,
    /// When the driver and the depot are warned.
    pub thresholds: Thresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { interval_secs: 5, thresholds: Thresholds::default() }
    }
}

/// When the driver and the depot are warned. Defaults for ice cream and a 12 V supply.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thresholds {
    /// Freezer warmer than this, °C, is a warning…
    pub freezer_warning_celsius: f32,
    /// …after this many seconds.
    pub freezer_warning_secs: u16,
    /// Freezer warmer than this, °C, is critical…
    pub freezer_critical_celsius: f32,
    /// …after this many seconds.
    pub freezer_critical_secs: u16,
    /// Freezer this cold again, °C, ends warning and critical…
    pub freezer_clear_celsius: f32,
    /// …after this many seconds.
    pub freezer_clear_secs: u16,
    /// Door open this long, seconds, is a warning.
    pub door_warning_secs: u16,
    /// Door open this long, seconds, is critical.
    pub door_critical_secs: u16,
    /// Supply below this, V, is a warning…
    pub supply_warning_volts: f32,
    /// …after this many seconds.
    pub supply_warning_secs: u16,
    /// Supply below this, V, is critical…
    pub supply_critical_volts: f32,
    /// …after this many seconds.
    pub supply_critical_secs: u16,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            freezer_warning_celsius: -18.0,
            freezer_warning_secs: 900,
            freezer_critical_celsius: -15.0,
            freezer_critical_secs: 600,
            freezer_clear_celsius: -19.0,
            freezer_clear_secs: 300,
            door_warning_secs: 180,
            door_critical_secs: 480,
            supply_warning_volts: 12.2,
            supply_warning_secs: 300,
            supply_critical_volts: 11.8,
            supply_critical_secs: 120,
        }
    }
}

impl Thresholds {
    /// The same for a 24 V supply: voltages doubled.
    pub fn for_24_volts() -> Self {
        let twelve = Thresholds::default();
        Thresholds {
            supply_warning_volts: 2.0 * twelve.supply_warning_volts,
            supply_critical_volts: 2.0 * twelve.supply_critical_volts,
            ..twelve
        }
    }
}
