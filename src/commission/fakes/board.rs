//! One board on one port.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use coldbench_protocol::{PROTOCOL_VERSION, Refusal, Request, Response};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;

use super::{Fault, Hit, IMAGE, World, lock};
use crate::{
    domain::{
        Calibration, CertificateId, Hello, Identity, Install, Mac, ProbeRom, RawProbe, RawSensors, Settings, Subject,
        certificate::{certificate_id, public_key_der},
        image::Image,
    },
    ports::{
        Cancel,
        board::{
            Board, BoardError, Boards, ChipFacts, FlashPhase, FlashProgress, FlashReport, Found, HelloFacts,
            OpenOptions, PortInfo, RelayTarget, RelayTraffic, Stamped,
        },
        operator::Question,
    },
};

/// The probe on the bus.
pub const ROM: ProbeRom = ProbeRom([0x28, 0xff, 0x64, 0x1e, 0x0f, 0x16, 0x03, 0x45]);

pub struct BoardState {
    pub mac: Mac,
    pub is_plugged: bool,
    pub image: Option<[u8; 32]>,
    pub running: bool,
    pub flashes: u32,
    pending_key: Option<String>,
    pub installed: Option<(String, Install)>,
    pub calibration: Calibration,
    pub settings: Settings,
    pub clock_is_set: bool,
    pub celsius: f32,
    pub volts: f32,
    pub door_high: bool,
    /// Whether its own network brings it to the broker.
    pub has_network: bool,
    pub relay: Option<RelayTarget>,
    pub relayed: RelayTraffic,
    /// What it logs to whoever listens.
    pub log: Vec<String>,
}

impl BoardState {
    pub fn blank(mac: Mac) -> Self {
        BoardState {
            mac,
            is_plugged: true,
            image: None,
            running: false,
            flashes: 0,
            pending_key: None,
            installed: None,
            calibration: Calibration::default(),
            settings: Settings { interval_secs: 30, ..Settings::default() },
            clock_is_set: false,
            celsius: -19.5,
            volts: 12.3,
            door_high: false,
            has_network: true,
            relay: None,
            relayed: RelayTraffic::default(),
            log: Vec::new(),
        }
    }

    pub fn installed_thing(&self) -> Option<String> {
        self.installed.as_ref().map(|(_, install)| install.thing_name.clone())
    }

    pub fn installed_certificate(&self) -> Option<CertificateId> {
        self.installed.as_ref().and_then(|(_, install)| certificate_id(&install.certificate_pem))
    }

    pub fn holds_nothing(&self) -> bool {
        self.pending_key.is_none() && self.installed.is_none()
    }

    /// What a person does with the board when asked this.
    pub fn handle(&mut self, question: &Question) {
        match question {
            Question::FreezerReference { point: 1, .. } => self.celsius = 0.25,
            Question::FreezerReference { .. } => self.celsius = -19.5,
            Question::SupplyReference { point: 1, .. } => self.volts = 11.5,
            Question::SupplyReference { .. } => self.volts = 13.7,
            Question::OpenDoor => self.door_high = true,
            Question::CloseDoor => self.door_high = false,
            Question::FreezerProbe { .. } | Question::Serial { .. } => {}
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            firmware: "0.1.0".into(),
            image_sha256: self.image.unwrap_or_default(),
            mac: self.mac.0,
            chip: "esp32c3".into(),
            thing_name: self.installed_thing(),
            reset_reason: "software".into(),
        }
    }

    fn chip(&self) -> ChipFacts {
        ChipFacts {
            chip: "esp32c3".into(),
            revision: "v0.4".into(),
            mac: self.mac,
            flash_bytes: 4 << 20,
            secured: false,
        }
    }

    fn identity(&self) -> Identity {
        let key = self.pending_key.as_ref().or(self.installed.as_ref().map(|(key, _)| key));
        let installed = self.installed.as_ref().map(|(_, install)| install);
        let sha256 = |pem: &str| x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
        Identity {
            public_key_der: key.map(|pem| spki(pem)),
            certificate_sha256: installed.map(|one| Sha256::digest(sha256(&one.certificate_pem)).into()),
            ca_sha256: installed.map(|one| Sha256::digest(sha256(&one.ca_pem)).into()),
            thing_name: self.installed_thing().unwrap_or_default(),
            endpoint: installed.map(|one| format!("{}:{}", one.endpoint, one.port)).unwrap_or_default(),
        }
    }

    fn answer(&mut self, request: Request) -> Result<Response, Refusal> {
        Ok(match request {
            Request::Hello => Response::Hello(self.hello()),
            Request::MakeKey(subject) => {
                let (key, csr) = key_and_csr(&subject);
                self.pending_key = Some(key);
                Response::Csr(csr)
            }
            Request::Install(install) => {
                let own = self.pending_key.clone().or(self.installed.as_ref().map(|(key, _)| key.clone()));
                let key = install.host_key_pem.clone().or(own).ok_or(Refusal::NoKey)?;
                if public_key_der(&install.certificate_pem) != Some(spki(&key)) {
                    return Err(Refusal::KeyMismatch);
                }
                (self.installed, self.pending_key) = (Some((key, install)), None);
                Response::Identity(self.identity())
            }
            Request::ReadIdentity => Response::Identity(self.identity()),
            Request::ReadSensors => Response::Sensors(RawSensors {
                probes: vec![RawProbe { rom: ROM, celsius: Ok(self.celsius), clone: false }],
                supply_volts: Some(self.volts),
                door_high: self.door_high,
                door_raw_edges: 0,
                door_edges: 0,
                position: None,
            }),
            Request::ReadCalibration => Response::Calibration(self.calibration.clone()),
            Request::SetCalibration(wanted) => {
                self.calibration = wanted;
                Response::Calibration(self.calibration.clone())
            }
            Request::SetClock { .. } => {
                self.clock_is_set = true;
                Response::Done
            }
            Request::ReadSettings => Response::Settings(self.settings.clone()),
            Request::SetSettings(wanted) => {
                self.settings = wanted;
                Response::Settings(self.settings.clone())
            }
            Request::EraseCredentials => {
                (self.pending_key, self.installed) = (None, None);
                Response::Done
            }
            Request::Reboot | Request::RebootToLoader | Request::Relay(_) | Request::SetLineRate(_) => Response::Done,
        })
    }
}

pub fn key_and_csr(subject: &Subject) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, subject.common_name.as_str());
    params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, subject.organizational_unit.as_str());
    (key.serialize_pem(), params.serialize_request(&key).unwrap().pem().unwrap())
}

fn spki(key_pem: &str) -> Vec<u8> {
    let key = rcgen::KeyPair::from_pem(key_pem).unwrap();
    rcgen::PublicKeyData::subject_public_key_info(&key)
}

pub struct FakeBoards(pub Arc<World>);

#[async_trait]
impl Boards for FakeBoards {
    async fn ports(&self) -> Vec<PortInfo> {
        Vec::new()
    }

    async fn open(&self, port: &str, _options: OpenOptions) -> Result<Box<dyn Board>, BoardError> {
        let board = FakeBoard(self.0.clone());
        board.op("Open", |_| Ok(())).await.map_err(|_| BoardError::NoPort { port: port.into() })?;
        Ok(Box::new(board))
    }
}

struct FakeBoard(Arc<World>);

impl FakeBoard {
    async fn op<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut BoardState) -> Result<T, BoardError>,
    ) -> Result<T, BoardError> {
        let hit = |Hit(fault)| match fault {
            Fault::LoseReply => BoardError::NoAnswer { request: name },
            _ => BoardError::Unplugged,
        };
        self.0.before(name).await.map_err(hit)?;
        let result = {
            let mut board = lock(&self.0.board);
            if board.is_plugged { effect(&mut board) } else { Err(BoardError::Unplugged) }
        };
        self.0.after(name).await.map_err(hit)?;
        result
    }
}

#[async_trait]
impl Board for FakeBoard {
    fn port(&self) -> &str {
        "/dev/ttyUSB0"
    }

    async fn identify(&self) -> Result<Found, BoardError> {
        self.op("Identify", |board| {
            Ok(match board.running {
                true => Found::Running { hello: HelloFacts::from(board.hello()) },
                false => Found::Loader { chip: board.chip() },
            })
        })
        .await
    }

    async fn flash(
        &self,
        image: &Image,
        _held_baud: Option<u32>,
        progress: &(dyn Fn(FlashProgress) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<FlashReport, BoardError> {
        lock(&self.0.board).running = false;
        for slice in 0..4_u64 {
            if cancel.is_cancelled() {
                return Err(BoardError::Cancelled { half_written: slice > 0 });
            }
            lock(&self.0.board).image = None;
            let (done_bytes, total_bytes) = (image.size() * slice / 4, image.size());
            progress(FlashProgress { part: "app.bin".into(), phase: FlashPhase::Write, done_bytes, total_bytes });
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        self.op("Flash", |board| {
            (board.image, board.flashes) = (Some(IMAGE), board.flashes + 1);
            Ok(FlashReport {
                written_bytes: image.size(),
                skipped_bytes: 0,
                baud: 921_600,
                stub: true,
                seconds: 8.0,
                chip: board.chip(),
            })
        })
        .await
    }

    async fn boot(&self, within: Duration) -> Result<Hello, BoardError> {
        self.op("Boot", |board| match board.image {
            Some(_) => {
                board.running = true;
                Ok(board.hello())
            }
            None => Err(BoardError::NoHello { seconds: within.as_secs(), log: String::new() }),
        })
        .await
    }

    async fn call(&self, request: Request) -> Result<Response, BoardError> {
        let name = match &request {
            Request::MakeKey(_) => "MakeKey",
            Request::Install(_) => "Install",
            Request::SetCalibration(_) => "SetCalibration",
            Request::ReadIdentity => "ReadIdentity",
            Request::ReadSensors => "ReadSensors",
            Request::SetClock { .. } => "SetClock",
            Request::SetSettings(_) => "SetSettings",
            Request::EraseCredentials => "EraseCredentials",
            _ => "Call",
        };
        self.op(name, |board| board.answer(request).map_err(BoardError::Refused)).await
    }

    async fn offer_relay(&self, target: Option<RelayTarget>) -> Result<(), BoardError> {
        self.op("OfferRelay", |board| {
            board.relay = target;
            Ok(())
        })
        .await
    }

    fn relay_traffic(&self) -> RelayTraffic {
        lock(&self.0.board).relayed
    }

    fn readings(&self) -> broadcast::Receiver<Stamped> {
        self.0.usb.subscribe()
    }

    fn log(&self) -> broadcast::Receiver<String> {
        let (said, log) = broadcast::channel(8);
        lock(&self.0.board).log.iter().for_each(|line| drop(said.send(line.clone())));
        log
    }
}
