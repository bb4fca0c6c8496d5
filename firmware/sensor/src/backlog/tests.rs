#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use alloc::{format, vec};
use core::cell::RefCell;

use coldbench_protocol::{Network, Settings};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::{
    board::Event,
    hardware::Waiting,
    identity::Connection,
    payload::{MAX_READING_LEN, hundredths, millionths},
    session::{Kind, Limits},
    testing::{Bench, Memory},
};

/// 2026-11-27T07:00:00Z.
const SEVEN_O_CLOCK_MILLIS: u64 = 1_795_762_800_000;

struct Truck {
    board: Board<Bench, Memory>,
    outbox: RefCell<Outbox>,
}

impl Truck {
    /// A commissioned board with a clock and this store.
    fn new(store: Memory) -> Self {
        let identity = Connection {
            thing_name: "truckSensor01".into(),
            endpoint: "localhost".into(),
            port: 8883,
            readings_topic: "dt/readings".into(),
            network: Network::None,
            certificate_chain_der: vec![],
            ca_der: vec![],
            key_pkcs8_der: Zeroizing::new(vec![]),
        };
        let store = Memory { identity: Some(identity), ..store };
        let mut board = Board::new(Bench::in_a_truck(), store);
        board.set_clock(SEVEN_O_CLOCK_MILLIS).unwrap();
        Truck { board, outbox: RefCell::new(Outbox::new(Limits { readings: 16, reports: 2 })) }
    }

    /// Lets time pass as the main loop does, and gives the readings that went over USB.
    fn run(&mut self, millis: u64) -> Vec<String> {
        let mut over_usb = Vec::new();
        for _ in 0..millis / 10 {
            self.board.peripherals().now_millis += 10;
            for event in self.board.poll() {
                if let Event::Reading { json, dated } = event {
                    assert!(dated);
                    over_usb.push(json.clone());
                    self.board.send_reading(json, &self.outbox);
                }
            }
            self.board.tend_backlog(&self.outbox);
        }
        over_usb
    }

    fn online(&self, is_online: bool) {
        self.outbox.borrow_mut().set_online(is_online);
    }

    /// The broker takes the next message.
    fn take(&self) -> Option<(Kind, String)> {
        let message = self.outbox.borrow().next().cloned()?;
        self.outbox.borrow_mut().acknowledge(message.ticket);
        Some((message.kind, String::from_utf8(message.payload).unwrap()))
    }

    /// Takes whatever comes while this time passes.
    fn run_and_take(&mut self, millis: u64) -> Vec<(Kind, String)> {
        let mut taken = Vec::new();
        for _ in 0..millis / 10 {
            self.run(10);
            taken.extend(self.take());
        }
        taken
    }
}

fn late(json: &str) -> String {
    json.strip_suffix('}').map(|start| format!("{start},\"late\":true}}")).unwrap()
}

#[test]
fn with_a_session_a_reading_goes_at_once_and_is_not_kept() {
    let mut truck = Truck::new(Memory::default());
    truck.online(true);
    let over_usb = truck.run(1000);
    assert_eq!(truck.take(), Some((Kind::Reading, over_usb[0].clone())));
    assert_eq!(truck.board.readings_waiting(), 0);
}

#[test]
fn without_a_session_readings_wait_and_are_sent_late_in_order_beside_the_live_ones() {
    let mut truck = Truck::new(Memory::default());
    let over_usb = truck.run(61_000);
    assert_eq!((over_usb.len(), truck.board.readings_waiting()), (13, 13));
    assert!(truck.take().is_none());

    truck.online(true);
    let taken = truck.run_and_take(5_000);
    let (live, sent_late): (Vec<_>, Vec<_>) = taken.into_iter().partition(|(kind, _)| *kind == Kind::Reading);
    assert_eq!(sent_late, over_usb.iter().map(|json| (Kind::LateReading, late(json))).collect::<Vec<_>>());
    assert_eq!(live.len(), 1, "the newest goes at once");
    assert!(!live[0].1.contains("late"));
    assert_eq!(truck.board.readings_waiting(), 0);
}

#[test]
fn a_broker_that_answers_slowly_gets_each_late_reading_once() {
    let mut truck = Truck::new(Memory::default());
    let over_usb = truck.run(11_000);
    truck.online(true);
    let mut taken = Vec::new();
    for _ in 0..over_usb.len() {
        // Many turns of the main loop between sending and acknowledging.
        truck.run(200);
        taken.extend(truck.take());
    }
    truck.run(200);
    assert_eq!(taken, over_usb.iter().map(|json| (Kind::LateReading, late(json))).collect::<Vec<_>>());
    assert_eq!((truck.take(), truck.board.readings_waiting()), (None, 0));
}

#[test]
fn late_readings_go_at_a_bounded_pace() {
    let mut truck = Truck::new(Memory::default());
    truck.run(601_000);
    truck.online(true);
    let taken = truck.run_and_take(1000);
    let sent_late = taken.iter().filter(|(kind, _)| *kind == Kind::LateReading).count() as u64;
    assert!((15..=1000 / LATE_INTERVAL_MILLIS).contains(&sent_late), "{sent_late}");
}

#[test]
fn what_a_broken_session_did_not_get_through_waits_and_nothing_is_lost() {
    let mut truck = Truck::new(Memory::default());
    truck.online(true);
    let mut over_usb = truck.run(1000);
    // No acknowledgement comes.
    truck.online(false);
    over_usb.extend(truck.run(10_000));
    assert_eq!(truck.board.readings_waiting() as usize, over_usb.len());
    truck.online(true);
    let taken = truck.run_and_take(1000);
    assert_eq!(
        taken.into_iter().map(|(_, json)| json).collect::<Vec<_>>(),
        over_usb.iter().map(|json| late(json)).collect::<Vec<_>>()
    );
}

#[test]
fn a_session_that_hangs_keeps_one_reading_in_memory() {
    let mut truck = Truck::new(Memory::default());
    truck.online(true);
    let over_usb = truck.run(31_000);
    let in_memory = truck.outbox.borrow().readings();
    assert!(in_memory <= 1);
    assert_eq!(truck.board.readings_waiting() as usize + in_memory, over_usb.len());
}

#[test]
fn a_late_reading_is_kept_until_it_is_acknowledged_over_a_restart() {
    let mut truck = Truck::new(Memory::default());
    let over_usb = truck.run(11_000);
    truck.online(true);
    truck.run(100);
    assert!(truck.outbox.borrow().has_late());
    // The power goes before the broker answers.
    let mut truck = Truck::new(truck.board.store().clone());
    truck.online(true);
    let taken = truck.run_and_take(500);
    assert_eq!(taken.iter().filter(|(kind, _)| *kind == Kind::LateReading).count(), over_usb.len());
}

#[test]
fn a_late_reading_of_a_lost_session_is_sent_again() {
    let mut truck = Truck::new(Memory::default());
    let over_usb = truck.run(6_000);
    truck.online(true);
    truck.run(50);
    truck.online(false);
    truck.run(50);
    assert!(!truck.outbox.borrow().has_late(), "a new session starts afresh");
    truck.online(true);
    let taken = truck.run_and_take(500);
    assert_eq!(
        taken.iter().map(|(_, json)| json.clone()).collect::<Vec<_>>(),
        over_usb.iter().map(|json| late(json)).collect::<Vec<_>>()
    );
}

#[test]
fn another_truck_never_gets_these_readings() {
    let mut truck = Truck::new(Memory::default());
    truck.run(11_000);
    assert!(truck.board.readings_waiting() > 0);
    let (result, _) = truck.board.answer(coldbench_protocol::Request::EraseCredentials);
    result.unwrap();
    truck.online(true);
    assert_eq!(truck.run_and_take(1000), []);
    truck.run(6_000);
    assert_eq!(truck.board.readings_waiting(), 0, "without an identity nothing is kept");
}

#[test]
fn a_record_of_another_form_is_passed_over() {
    let mut truck = Truck::new(Memory::default());
    truck.board.store().backlog.push_back(Waiting { ticket: 1, record: vec![0xff; 20] });
    truck.online(true);
    truck.run(100);
    assert_eq!((truck.board.readings_waiting(), truck.take()), (0, None));
}

#[test]
fn the_shadow_tells_how_many_readings_wait() {
    let mut truck = Truck::new(Memory::default());
    assert!(truck.board.reported().contains(r#""backlog":null"#));
    truck.run(11_000);
    assert!(truck.board.reported().contains(r#""backlog":{"waiting":3,"dropped":0}"#), "{}", truck.board.reported());
}

prop_compose! {
    fn any_reading()(
        seq in any::<u32>(),
        unix_secs in 1_577_836_800_u64..4_102_444_800,
        uptime_secs in any::<u64>(),
        interval_secs in any::<u16>(),
        celsius in prop::array::uniform2(prop::option::of(-70.0_f32..130.0)),
        volts in prop::array::uniform2(prop::option::of(-0.5_f32..50.0)),
        door in (any::<bool>(), any::<u32>(), 0.0_f32..3600.0),
        position in prop::option::of((-90.0_f64..90.0, -180.0_f64..180.0)),
        light in 0_usize..3,
        alerts in prop::sample::subsequence(ALERTS.to_vec(), 0..=6),
        faults in prop::array::uniform3(prop::option::of(0_usize..7)),
    ) -> Reading {
        let faults = SENSORS.iter().zip(faults).filter_map(|(sensor, fault)| {
            Some(SensorFault { sensor: *sensor, fault: FAULTS[fault?] })
        });
        Reading {
            v: PAYLOAD_VERSION,
            seq,
            time: Some(utc_text(unix_secs * 1000)),
            uptime_secs,
            thing: Some("truckSensor01".into()),
            interval_secs,
            freezer_celsius: celsius[0].map(hundredths),
            outside_celsius: celsius[1].map(hundredths),
            supply_volts: volts[0].map(hundredths),
            supply_min_volts: volts[1].map(hundredths),
            door_open: door.0,
            door_openings: door.1,
            door_open_secs: hundredths(door.2),
            latitude_deg: position.map(|(north, _)| millionths(north)),
            longitude_deg: position.map(|(_, east)| millionths(east)),
            status: LIGHTS[light],
            alerts,
            faults: faults.collect(),
            late: false,
        }
    }
}

proptest! {
    /// The late string is the one that went over USB, with the mark.
    #[test]
    fn a_kept_reading_gives_the_same_string(reading in any_reading()) {
        let record = Record::of(&Reading::parse(&reading.to_json()).unwrap()).unwrap();
        let bytes = postcard::to_allocvec(&record).unwrap();
        prop_assert!(bytes.len() <= 80, "{} bytes", bytes.len());
        let again: Record = postcard::from_bytes(&bytes).unwrap();
        let sent = again.late_reading("truckSensor01").unwrap().to_json();
        prop_assert_eq!(&sent, &late(&reading.to_json()));
        prop_assert!(sent.len() <= MAX_READING_LEN);
    }

    /// A day without a connection at 5 s fits, whatever is measured: see the test of the ring for the 48 bytes.
    #[test]
    fn a_reading_within_a_day_is_short(
        reading in any_reading(),
        seq in 0_u32..2_000_000,
        uptime_secs in 0_u64..200_000_000,
        open_secs in 0.0_f32..5.0,
        openings in 0_u32..100,
        celsius in prop::option::of(-55.0_f32..80.0),
    ) {
        let reading = Reading {
            seq,
            uptime_secs,
            interval_secs: Settings::default().interval_secs,
            freezer_celsius: celsius.map(hundredths),
            outside_celsius: celsius.map(hundredths),
            door_openings: openings,
            door_open_secs: hundredths(open_secs),
            ..reading
        };
        let bytes = postcard::to_allocvec(&Record::of(&reading).unwrap()).unwrap();
        prop_assert!(bytes.len() <= 48, "{} bytes", bytes.len());
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
        if let Ok(record) = postcard::from_bytes::<Record>(&bytes) {
            let _ = record.late_reading("truckSensor01");
        }
    }
}
