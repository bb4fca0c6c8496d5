//! The whole board over its serial device, with the flasher of the product's own adapters as the client.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use coldbench_protocol::{
    Answer, Call, Request, Response,
    frame::{self, Channel, Decoder},
};
use espflash::{
    connection::{Connection, ResetAfterOperation, ResetBeforeOperation},
    flasher::Flasher,
    image_format::Segment,
    target::{DefaultProgressCallback, ProgressCallbacks},
};
use serialport::{TTYPort, UsbPortInfo};
use sha2::{Digest, Sha256};

use super::{
    image_fixture::{APP_OFFSET, ROWS, TABLE_OFFSET, app_image, bootloader_image, partition_table},
    *,
};

mod broker;

/// Far more than anything here takes, so that a loaded machine passes too.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    _dir: tempfile::TempDir,
    board: ImitatedBoard,
}

impl Bench {
    fn with(change: impl FnOnce(&mut BoardOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = BoardOptions::new("Board1", dir.path(), 42);
        options.network = ImitatedNetwork::None;
        change(&mut options);
        Bench { _dir: dir, board: ImitatedBoard::start(options).unwrap() }
    }

    /// A board with a valid app in flash.
    fn flashed(version: &str) -> Self {
        Bench::with(|options| flash_file(options, version))
    }

    fn wait_for(&self, wanted: impl Fn(&Activity) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.board.control().activity()) {
            assert!(begun.elapsed() < PATIENCE, "the board is {:?}", self.board.control().activity());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn open(&self) -> TTYPort {
        let path = self.board.port().to_str().unwrap();
        let begun = Instant::now();
        loop {
            match serialport::new(path, 115_200).timeout(Duration::from_millis(100)).open_native() {
                Ok(port) => return port,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn flasher(&self, stub: bool) -> Flasher {
        let usb = UsbPortInfo { vid: 0, pid: 0, serial_number: None, manufacturer: None, product: None };
        let connection =
            Connection::new(self.open(), usb, ResetAfterOperation::NoReset, ResetBeforeOperation::NoReset, 115_200);
        Flasher::connect(connection, stub, true, true, None, None).unwrap()
    }
}

/// A client of the running app.
struct Link {
    port: TTYPort,
    decoder: Decoder,
}

impl Link {
    fn new(port: TTYPort) -> Self {
        Link { port, decoder: Decoder::new() }
    }

    /// Asks until the answer comes: a request sent while the board starts is lost.
    fn ask(&mut self, number: u16, request: Request) -> Result<Response, coldbench_protocol::Refusal> {
        let call = frame::encode_call(&Call { number, request }).unwrap();
        let begun = Instant::now();
        let mut sent_at: Option<Instant> = None;
        loop {
            assert!(begun.elapsed() < PATIENCE, "no answer");
            if sent_at.is_none_or(|moment| moment.elapsed() > Duration::from_secs(5)) {
                self.port.write_all(&call).unwrap();
                sent_at = Some(Instant::now());
            }
            for (channel, payload) in self.read() {
                if channel == Channel::Call {
                    let Answer { number: answered, result } = frame::decode_answer(&payload).unwrap();
                    if answered == number {
                        return result;
                    }
                }
            }
        }
    }

    fn hello(&mut self) -> coldbench_protocol::Hello {
        match self.ask(1, Request::Hello) {
            Ok(Response::Hello(hello)) => hello,
            other => panic!("{other:?}"),
        }
    }

    /// The next reading.
    fn reading(&mut self) -> serde_json::Value {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no reading");
            for (channel, payload) in self.read() {
                if channel == Channel::Reading {
                    return serde_json::from_slice(&payload).unwrap();
                }
            }
        }
    }

    fn read(&mut self) -> Vec<(Channel, Vec<u8>)> {
        let mut bytes = [0; 4096];
        let len = match self.port.read(&mut bytes) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => 0,
            Err(error) => panic!("{error}"),
        };
        self.decoder.push(&bytes[..len]).into_iter().flatten().map(|frame| (frame.channel, frame.payload)).collect()
    }
}

#[derive(Default)]
struct Skips(usize);

impl ProgressCallbacks for Skips {
    fn init(&mut self, _: u32, _: usize) {}
    fn update(&mut self, _: usize) {}
    fn verifying(&mut self) {}
    fn finish(&mut self, skipped: bool) {
        self.0 += usize::from(skipped);
    }
}

/// Puts a valid app in flash before the board starts.
fn flash_file(options: &BoardOptions, version: &str) {
    let flash = flash::Flash::open(&options.dir.join("Board1.flash.bin")).unwrap();
    flash.program(0, &bootloader_image()).unwrap();
    flash.program(TABLE_OFFSET, &partition_table(&ROWS)).unwrap();
    flash.program(APP_OFFSET, &app_image(version)).unwrap();
}

/// Everything in one go: afterwards the flasher resets the board.
fn flash_all(flasher: &mut Flasher, version: &str) {
    let parts = [(0, bootloader_image()), (TABLE_OFFSET, partition_table(&ROWS)), (APP_OFFSET, app_image(version))];
    let segments = parts.map(|(addr, data)| Segment { addr, data: data.into() });
    flasher.write_bins_to_flash(&segments, &mut DefaultProgressCallback).unwrap();
}

#[test]
fn a_bare_board_is_flashed_with_the_stub_and_boots() {
    let bench = Bench::with(|_| {});
    bench.wait_for(|activity| *activity == Activity::Loader);
    let mut flasher = bench.flasher(true);
    let info = flasher.device_info().unwrap();
    assert_eq!(info.chip.to_string(), "esp32c3");
    assert_eq!(info.flash_size.to_string(), "4MB");
    assert_eq!(info.revision, Some((0, 4)));
    assert_eq!(info.mac_address.unwrap().replace(':', ""), hex::encode(bench.board.mac()));
    flasher.change_baud(921_600).unwrap();
    flash_all(&mut flasher, "1.4.2");
    drop(flasher);
    bench.wait_for(|activity| *activity == Activity::App("1.4.2".into()));
    let hello = Link::new(bench.open()).hello();
    assert_eq!(hello.firmware, "1.4.2");
    assert_eq!(hello.image_sha256, <[u8; 32]>::from(Sha256::digest(app_image("1.4.2"))));
    assert_eq!(hello.mac, bench.board.mac());
}

#[test]
fn an_unchanged_image_is_skipped_and_another_client_reaches_the_loader_again() {
    let bench = Bench::flashed("1.0.0");
    bench.wait_for(|activity| *activity == Activity::App("1.0.0".into()));
    // Nobody presses a button: the synchronisation packet stands for it.
    let mut flasher = bench.flasher(true);
    let mut skips = Skips::default();
    flasher.write_bin_to_flash(APP_OFFSET, &app_image("1.0.0"), &mut skips).unwrap();
    assert_eq!(skips.0, 1);
}

#[test]
fn a_bare_board_is_flashed_without_the_stub() {
    let bench = Bench::with(|_| {});
    let mut flasher = bench.flasher(false);
    flasher.write_bin_to_flash(0x1000, &[0x5a; 3000], &mut DefaultProgressCallback).unwrap();
    drop(flasher);
    let mut flasher = bench.flasher(false);
    assert_eq!(flasher.checksum_md5(0x1000, 3000).unwrap(), u128::from_be_bytes(md5::Md5::digest([0x5a; 3000]).into()));
}

#[test]
fn flash_is_read_and_erased_through_the_stub() {
    let bench = Bench::flashed("1.0.0");
    let mut flasher = bench.flasher(true);
    let path = bench._dir.path().join("read.bin");
    let image = app_image("1.0.0");
    flasher.read_flash(APP_OFFSET, image.len() as u32, 0x1000, 64, path.clone()).unwrap();
    assert_eq!(fs::read(path).unwrap(), image);
    flasher.erase_region(APP_OFFSET, 0x1000).unwrap();
    drop(flasher);
    bench.board.control().reset();
    bench.wait_for(|activity| *activity == Activity::Loader);
}

#[test]
fn the_app_answers_reads_and_keeps_what_it_is_told_over_a_reboot() {
    let bench = Bench::flashed("1.0.0");
    let mut link = Link::new(bench.open());
    assert_eq!(link.hello().thing_name, None);
    let Ok(Response::Settings(mut settings)) = link.ask(2, Request::ReadSettings) else { panic!("no settings") };
    settings.interval_secs = 1;
    assert_eq!(link.ask(3, Request::SetSettings(settings.clone())), Ok(Response::Settings(settings.clone())));
    let reading = link.reading();
    assert!(reading["freezer_celsius"].is_number() || reading["freezer_celsius"].is_null(), "{reading}");
    assert_eq!(link.ask(4, Request::Reboot), Ok(Response::Done));
    assert_eq!(link.ask(5, Request::ReadSettings), Ok(Response::Settings(settings)));
    assert_eq!(link.hello().reset_reason, "software");
}

#[test]
fn the_door_is_seen_and_the_app_starts_the_loader_on_request() {
    let bench = Bench::flashed("1.0.0");
    let mut link = Link::new(bench.open());
    link.hello();
    bench.board.control().open_door();
    let begun = Instant::now();
    loop {
        let Ok(Response::Sensors(sensors)) = link.ask(9, Request::ReadSensors) else { panic!("no sensors") };
        if sensors.door_high {
            assert!(sensors.door_raw_edges >= sensors.door_edges && sensors.door_edges >= 1, "{sensors:?}");
            assert_eq!(sensors.probes.len(), 2);
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{sensors:?}");
    }
    assert_eq!(link.ask(10, Request::RebootToLoader), Ok(Response::Done));
    bench.wait_for(|activity| *activity == Activity::Loader);
}

#[test]
fn a_board_that_is_unplugged_comes_back_under_the_same_name() {
    let bench = Bench::flashed("1.0.0");
    let mut port = bench.open();
    bench.board.control().unplug();
    let begun = Instant::now();
    while bench.board.port().exists() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut bytes = [0; 4096];
    let ended = loop {
        match port.read(&mut bytes) {
            Ok(0) => break true,
            Err(error) if error.kind() != io::ErrorKind::TimedOut => break true,
            _ if begun.elapsed() > PATIENCE => break false,
            _ => {}
        }
    };
    assert!(ended, "the client must notice");
    drop(port);
    bench.board.control().plug();
    assert_eq!(Link::new(bench.open()).hello().reset_reason, "power-on");
}

#[test]
fn faults_happen_once_and_the_board_recovers() {
    let bench = Bench::with(|options| {
        flash_file(options, "1.0.0");
        options.faults = vec!["garbage@0=300".parse().unwrap(), "hang@10=300".parse().unwrap()];
    });
    let mut link = Link::new(bench.open());
    assert_eq!(link.hello().firmware, "1.0.0");
    assert_eq!(link.hello().firmware, "1.0.0");
}

#[test]
fn pacing_holds_the_line_to_its_rate() {
    let bench = Bench::with(|options| options.pace_baud = Some(115_200));
    // The start of a stub has to be answered within 50 ms, which a loaded machine does not hold.
    let mut flasher = bench.flasher(false);
    let noise = sample_noise(30_000);
    let begun = Instant::now();
    flasher.write_bin_to_flash(0x1000, &noise, &mut DefaultProgressCallback).unwrap();
    let floor = Duration::from_secs_f64(30_000.0 * 10.0 / 115_200.0 * 0.8);
    assert!(begun.elapsed() > floor, "{:?} is faster than the line", begun.elapsed());
}

#[test]
fn a_board_kept_in_its_folder_is_the_same_board() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = BoardOptions::new("Board1", dir.path(), 7);
    options.network = ImitatedNetwork::None;
    let first = ImitatedBoard::start(options.clone()).unwrap();
    let mac = first.mac();
    first.stop();
    assert!(!dir.path().join("ttyBoard1").exists());
    assert_eq!(ImitatedBoard::start(options).unwrap().mac(), mac);
}

fn sample_noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    seed::Seeded::new(1, "sample").fill(&mut bytes);
    bytes
}
