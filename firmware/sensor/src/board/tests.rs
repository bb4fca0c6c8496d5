#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use coldbench_protocol::{
    Answer, Call, DoorPolarity, Install, Line, Network, Position, ProbeFault, Subject, Thresholds, frame,
};
use proptest::prelude::*;
use serde_json::Value;

use alloc::{string::ToString as _, vec};

use super::*;
use crate::{
    ds18b20,
    testing::{Bench, Memory},
};

/// 2026-11-27T07:00:00Z.
const SEVEN_O_CLOCK_MILLIS: u64 = 1_795_762_800_000;

type TestBoard = Board<Bench, Memory>;

fn board() -> TestBoard {
    Board::new(Bench::in_a_truck(), Memory::default())
}

/// Lets time pass with a poll every 10 ms, and gives the readings made in it.
fn run(board: &mut TestBoard, millis: u64) -> Vec<Reading> {
    (0..millis / 10)
        .flat_map(|_| {
            board.peripherals().now_millis += 10;
            board.poll()
        })
        .filter_map(|event| match event {
            Event::Reading { json, dated } => {
                let reading = Reading::parse(&json).unwrap();
                assert_eq!(dated, reading.time.is_some());
                Some(reading)
            }
            Event::Log(_) => None,
        })
        .collect()
}

/// The same hardware and store after a loss of power.
fn restarted(mut board: TestBoard) -> TestBoard {
    let peripherals = Bench { now_millis: 0, ..board.peripherals().clone() };
    let store = board.store().clone();
    Board::new(peripherals, store)
}

fn reported(board: &TestBoard) -> Value {
    let document: Value = serde_json::from_str(&board.reported()).unwrap();
    document["state"]["reported"].clone()
}

fn sensors(board: &mut TestBoard) -> RawSensors {
    match board.answer(Request::ReadSensors) {
        (Ok(Response::Sensors(sensors)), None) => sensors,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_board_without_any_sensor_reads_and_says_what_is_missing() {
    let mut board = Board::new(Bench::default(), Memory::default());
    let readings = run(&mut board, 1000);
    assert_eq!(readings.len(), 1, "the first reading comes within a second");
    let reading = &readings[0];
    assert_eq!((reading.seq, &reading.time, &reading.thing), (1, &None, &None));
    assert_eq!((reading.freezer_celsius, reading.supply_volts, reading.supply_min_volts), (None, None, None));
    assert_eq!(
        reading.faults,
        [
            SensorFault { sensor: Sensor::Freezer, fault: FaultCode::Missing },
            SensorFault { sensor: Sensor::Supply, fault: FaultCode::Missing },
        ]
    );
    assert_eq!(reading.status, Light::Amber);
    assert_eq!(board.peripherals().light, Some(Light::Amber));
}

#[test]
fn readings_come_at_the_interval_and_carry_utc() {
    let mut board = board();
    board.set_clock(SEVEN_O_CLOCK_MILLIS).unwrap();
    board.peripherals().position = Some(Position { latitude_deg: 48.137_154_321, longitude_deg: 11.5 });
    let readings = run(&mut board, 16_000);
    let times: Vec<&str> = readings.iter().filter_map(|reading| reading.time.as_deref()).collect();
    assert_eq!(times, ["2026-11-27T07:00:00Z", "2026-11-27T07:00:05Z", "2026-11-27T07:00:10Z", "2026-11-27T07:00:15Z"]);
    assert_eq!(readings[3].seq, 4);
    assert_eq!(readings[3].freezer_celsius, Some(-19.31));
    assert_eq!(readings[3].supply_volts, Some(12.6));
    assert_eq!(readings[3].latitude_deg, Some(48.137_154));
    assert_eq!(readings[3].status, Light::Green);
    assert_eq!(board.unix_millis(), Some(SEVEN_O_CLOCK_MILLIS + 16_000));
    assert!(board.set_clock(0).is_err());
}

#[test]
fn what_is_shorter_than_the_interval_is_kept() {
    let mut board = board();
    run(&mut board, 2000);
    board.peripherals().door_high = true;
    board.peripherals().supply_volts = Some(8.1);
    run(&mut board, 200);
    board.peripherals().supply_volts = Some(12.6);
    run(&mut board, 800);
    board.peripherals().door_high = false;
    let reading = run(&mut board, 5000).remove(0);
    assert_eq!((reading.door_open, reading.door_openings, reading.door_open_secs), (false, 1, 1.0));
    assert_eq!((reading.supply_volts, reading.supply_min_volts), (Some(12.6), Some(8.1)));
    let next = run(&mut board, 5000).remove(0);
    assert_eq!((next.door_openings, next.door_open_secs, next.supply_min_volts), (0, 0.0, Some(12.6)));
}

#[test]
fn the_shadow_tells_of_the_same_sample() {
    let mut board = board();
    board.set_clock(SEVEN_O_CLOCK_MILLIS).unwrap();
    assert_eq!(reported(&board)["reading"], Value::Null);
    let reading = run(&mut board, 6000).pop().unwrap();
    let sent: Value = serde_json::from_str(&reading.to_json()).unwrap();
    let shadow = reported(&board);
    for key in ["seq", "time", "freezer_celsius", "supply_volts", "door_open", "status"] {
        assert_eq!(shadow["reading"][key], sent[key], "{key}");
    }
    assert_eq!(board.last_reading(), Some(&reading));
}

#[test]
fn raw_sensors_name_every_probe_and_what_is_wrong_with_it() {
    let mut board = board();
    board.peripherals().set_celsius(2, 21.0);
    let shorted = ds18b20::rom(3);
    board.peripherals().scratchpads.insert(shorted, [0; 9]);
    run(&mut board, 10);
    assert!(sensors(&mut board).probes.iter().all(|probe| probe.celsius == Err(ProbeFault::Timeout)));
    run(&mut board, 1000);
    let probes = sensors(&mut board).probes;
    let celsius: Vec<_> = probes.iter().map(|probe| (probe.rom, probe.celsius)).collect();
    assert_eq!(
        celsius,
        [(ds18b20::rom(1), Ok(-19.3125)), (ds18b20::rom(2), Ok(21.0)), (shorted, Err(ProbeFault::Shorted))]
    );
    assert!(probes.iter().all(|probe| !probe.clone));
}

#[test]
fn a_calibration_is_applied_and_survives_restart_and_erasure() {
    let mut board = board();
    board.peripherals().set_celsius(2, 21.0);
    let new = Calibration {
        freezer_probe: Some(ds18b20::rom(1)),
        outside_probe: Some(ds18b20::rom(2)),
        freezer: Line { gain: 1.0, offset: -0.25 },
        outside: Line::default(),
        supply: Line { gain: 1.0, offset: 0.1 },
        door_open_is_high: DoorPolarity::OpenIsLow,
        job: "01K".into(),
    };
    let answer = board.answer(Request::SetCalibration(new.clone()));
    assert_eq!(answer, (Ok(Response::Calibration(new.clone())), None));
    board.answer(Request::EraseCredentials).0.unwrap();

    let mut board = restarted(board);
    let reading = run(&mut board, 1000).remove(0);
    assert_eq!((reading.freezer_celsius, reading.outside_celsius), (Some(-19.56), Some(21.0)));
    assert_eq!((reading.supply_volts, reading.door_open), (Some(12.7), true));
    assert_eq!(reported(&board)["calibration_job"], "01K");

    board.peripherals().scratchpads.remove(&ds18b20::rom(1));
    let reading = run(&mut board, 5000).remove(0);
    assert_eq!(reading.freezer_celsius, None, "another probe does not stand in for an assigned one");
    assert_eq!(reading.faults, [SensorFault { sensor: Sensor::Freezer, fault: FaultCode::Missing }]);

    let bad = Calibration { freezer: Line { gain: 2.0, offset: 0.0 }, ..new.clone() };
    assert!(matches!(board.answer(Request::SetCalibration(bad)).0, Err(Refusal::Invalid(_))));
    assert_eq!(board.answer(Request::ReadCalibration).0, Ok(Response::Calibration(new)));
}

#[test]
fn a_delta_closes_and_a_bad_one_is_named() {
    let mut board = board();
    let wanted = r#"{"state":{"interval_secs":2,"thresholds":{"door_warning_secs":0}}}"#;
    assert_eq!(board.delta(wanted), Ok(true));
    assert_eq!(board.delta(wanted), Ok(false));
    assert_eq!(reported(&board)["interval_secs"], 2);
    assert_eq!(reported(&board)["thresholds"]["door_warning_secs"], 0);
    assert_eq!(reported(&board)["rejected"], Value::Null);
    let readings = run(&mut board, 5000);
    assert_eq!(readings.len(), 3);
    assert_eq!(readings[0].interval_secs, 2);

    assert_eq!(board.delta(r#"{"state":{"interval_secs":0}}"#), Ok(false));
    assert_eq!(reported(&board)["rejected"]["interval_secs"], "0 is not from 1 to 3600");
    assert_eq!(board.delta("nonsense"), Err(DeltaError::Parse));
    assert_eq!(reported(&restarted(board))["interval_secs"], 2);
}

#[test]
fn what_the_network_says_is_heard() {
    let mut board = board();
    assert_eq!(board.hear(News::Online), (ReportDue(true), None));

    assert_eq!(board.hear(News::Time { unix_millis: SEVEN_O_CLOCK_MILLIS }), (ReportDue(true), None));
    assert_eq!(board.unix_millis(), Some(SEVEN_O_CLOCK_MILLIS));
    assert_eq!(board.hear(News::Time { unix_millis: 5 }), (ReportDue(false), None), "the year 1970");
    assert_eq!(board.unix_millis(), Some(SEVEN_O_CLOCK_MILLIS));

    assert_eq!(board.hear(News::Shadow("no JSON".into())), (ReportDue(true), Some(DeltaError::Parse.to_string())));
    assert_eq!(board.hear(News::Log("a line".into())), (ReportDue(false), Some("a line".into())));
}

#[test]
fn only_a_rate_that_is_offered_is_taken() {
    let mut board = board();
    for baud in LINE_RATES {
        assert_eq!(board.answer(Request::SetLineRate(baud)), (Ok(Response::Done), Some(Effect::LineRate(baud))));
    }
    for baud in [0, 9600, 115_201, u32::MAX] {
        let (result, effect) = board.answer(Request::SetLineRate(baud));
        assert!(matches!(result, Err(Refusal::Invalid(_))), "{baud}: {result:?}");
        assert_eq!(effect, None);
    }
}

#[test]
fn a_new_interval_starts_with_a_reading() {
    let mut board = board();
    run(&mut board, 7000);
    let settings = Settings { interval_secs: 60, ..Settings::default() };
    let answer = board.answer(Request::SetSettings(settings.clone()));
    assert_eq!(answer, (Ok(Response::Settings(settings)), Some(Effect::SettingsChanged)));
    assert_eq!(run(&mut board, 1000).len(), 1);
    assert_eq!(run(&mut board, 58_000).len(), 0);
    assert_eq!(run(&mut board, 2000).len(), 1);
}

#[test]
fn a_store_that_fails_changes_nothing() {
    let mut board = board();
    board.store().fails = true;
    let settings = Settings { interval_secs: 60, ..Settings::default() };
    let (result, effect) = board.answer(Request::SetSettings(settings));
    assert!(matches!(result, Err(Refusal::Storage(_))));
    assert_eq!(effect, None);
    assert_eq!(board.answer(Request::ReadSettings).0, Ok(Response::Settings(Settings::default())));
    assert!(matches!(board.delta(r#"{"state":{"interval_secs":9}}"#), Err(DeltaError::Store(_))));
    let subject = Subject { common_name: "a".into(), organizational_unit: "b".into() };
    assert!(matches!(board.answer(Request::MakeKey(subject)).0, Err(Refusal::Storage(_))));
    assert!(matches!(board.answer(Request::EraseCredentials), (Err(Refusal::Storage(_)), None)));
}

#[test]
fn damaged_items_are_replaced_by_defaults() {
    let mut board = board();
    for item in Item::ALL {
        board.store().items.insert(item, [1, 255, 255, 255].to_vec());
    }
    let mut board = restarted(board);
    assert_eq!(board.answer(Request::ReadSettings).0, Ok(Response::Settings(Settings::default())));
    assert_eq!(board.answer(Request::ReadCalibration).0, Ok(Response::Calibration(Calibration::default())));
    assert_eq!(board.hello().thing_name, None);
}

#[test]
fn hello_key_and_restart() {
    let mut board = board();
    let (Ok(Response::Hello(hello)), None) = board.answer(Request::Hello) else { panic!("no hello") };
    assert_eq!(
        (hello.protocol, hello.chip.as_str(), hello.mac),
        (PROTOCOL_VERSION, "esp32c3", [0xA0, 0, 1, 2, 3, 0xFF])
    );
    let subject = Subject { common_name: "truckSensor01".into(), organizational_unit: "job-1".into() };
    let (Ok(Response::Csr(pem)), None) = board.answer(Request::MakeKey(subject)) else { panic!("no request") };
    assert!(pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    let (Ok(Response::Identity(identity)), None) = board.answer(Request::ReadIdentity) else { panic!("no identity") };
    assert!(identity.public_key_der.is_some());
    assert!(board.connection().is_none());
    assert_eq!(board.answer(Request::EraseCredentials), (Ok(Response::Done), Some(Effect::ConnectionChanged)));
    assert_eq!(board.answer(Request::Reboot), (Ok(Response::Done), Some(Effect::Reboot)));
    assert_eq!(board.answer(Request::RebootToLoader), (Ok(Response::Done), Some(Effect::RebootToLoader)));
}

#[test]
fn the_light_follows_the_alerts() {
    let mut board = board();
    let thresholds = Thresholds { door_warning_secs: 10, door_critical_secs: 20, ..Thresholds::default() };
    board.answer(Request::SetSettings(Settings { interval_secs: 5, thresholds })).0.unwrap();
    run(&mut board, 1000);
    assert_eq!(board.peripherals().light, Some(Light::Green));
    board.peripherals().door_high = true;
    let amber = run(&mut board, 16_000).pop().unwrap();
    assert_eq!((amber.status, amber.door_open), (Light::Amber, true));
    let red = run(&mut board, 10_000).pop().unwrap();
    assert_eq!(red.status, Light::Red);
    assert_eq!(board.peripherals().light, Some(Light::Red));
    board.peripherals().door_high = false;
    assert_eq!(run(&mut board, 6000).pop().unwrap().status, Light::Green);
}

/// One request of every kind that carries something, and two that do not.
fn requests() -> Vec<Request> {
    let install = Install {
        thing_name: "truckSensor01".into(),
        certificate_pem: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".into(),
        ca_pem: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".into(),
        endpoint: "broker.depot.example".into(),
        port: 8883,
        readings_topic: "dt/trucks/truckSensor01/readings".into(),
        network: Network::WiFi { ssid: "depot".into(), passphrase: "a secret phrase".into() },
        host_key_pem: Some("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n".into()),
    };
    vec![
        Request::Hello,
        Request::ReadSensors,
        Request::Install(install),
        Request::SetCalibration(Calibration::default()),
        Request::SetClock { unix_millis: SEVEN_O_CLOCK_MILLIS },
        Request::SetSettings(Settings::default()),
        Request::Relay(true),
        Request::SetLineRate(921_600),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The whole way from bytes on the link to an answer on the link.
    #[test]
    fn whatever_is_asked_the_board_answers_and_goes_on(
        asked in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)),
            1..8,
        ),
    ) {
        let mut board = board();
        for (request, damages) in asked {
            let request = requests().swap_remove(request.index(requests().len()));
            let mut payload = postcard::to_allocvec(&Call { number: 7, request }).unwrap();
            for (at, byte) in damages {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            if let Ok(Call { number, request }) = frame::decode_call(&payload) {
                let (result, _) = board.answer(request);
                let sent = frame::encode_answer(&Answer { number, result });
                prop_assert!(sent.is_ok());
            }
            run(&mut board, 50);
            serde_json::from_str::<Value>(&board.reported()).unwrap();
        }
        board.answer(Request::SetSettings(Settings::default())).0.unwrap();
        prop_assert!(!run(&mut board, 11_000).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_the_hardware_does_every_reading_is_whole(
        steps in prop::collection::vec(
            (any::<bool>(), prop::option::of(any::<f32>()), prop::option::of(any::<[u8; 9]>()), 1_u64..4000),
            1..30,
        ),
        interval_secs in 1_u16..8,
    ) {
        let mut board = board();
        board.answer(Request::SetSettings(Settings { interval_secs, ..Settings::default() })).0.unwrap();
        let mut last_seq = 0;
        for (door_high, supply_volts, scratchpad, wait_millis) in steps {
            board.peripherals().door_high = door_high;
            board.peripherals().supply_volts = supply_volts;
            board.peripherals().scratchpads.clear();
            if let Some(bytes) = scratchpad {
                board.peripherals().scratchpads.insert(ds18b20::rom(1), bytes);
            }
            for reading in run(&mut board, wait_millis) {
                prop_assert_eq!(reading.seq, last_seq + 1);
                last_seq = reading.seq;
                prop_assert!(reading.to_json().len() <= crate::payload::MAX_READING_LEN);
                let freezer_is_faulty = reading.faults.iter().any(|fault| fault.sensor == Sensor::Freezer);
                prop_assert_eq!(reading.freezer_celsius.is_none(), freezer_is_faulty);
            }
        }
    }
}
