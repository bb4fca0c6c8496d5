//! The tool's side of the line's rate, against a board that is played here and a line that holds only some rates.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use coldbench_protocol::{
    Answer, LINE_RATES, Refusal, Request, Response,
    frame::{Decoder, decode_call, encode_answer},
};
use serialport::{SerialPort, TTYPort};

use super::{tests::hello, *};
use crate::ports::board::RelayTarget;

/// After so long without a frame the board goes back to the usual rate, as the firmware does.
const DEAF_LIMIT: Duration = Duration::from_secs(2);
/// Ends a hang; nothing is measured by it.
const LONG: Duration = Duration::from_secs(60);

/// A board that offers rates, on a line that garbles what is said above `holds`, or at another rate than the board's.
struct Played {
    port: String,
    /// The rate the board speaks at now.
    rate: Arc<AtomicU32>,
    asked: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Played {
    fn start(holds: u32, knows_rates: bool) -> Self {
        let (board, tool) = TTYPort::pair().unwrap();
        let port = tool.name().unwrap();
        let (rate, stop) = (Arc::new(AtomicU32::new(LINE_RATES[0])), Arc::new(AtomicBool::new(false)));
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let (its_rate, told, stopped) = (rate.clone(), asked.clone(), stop.clone());
        let thread = thread::spawn(move || play(board, &tool, holds, knows_rates, (&its_rate, &told, &stopped)));
        Played { port, rate, asked, stop, thread: Some(thread) }
    }

    async fn open(&self) -> Box<dyn Board> {
        SerialBoards::default().open(&self.port, OpenOptions::default()).await.unwrap()
    }

    fn rate(&self) -> u32 {
        self.rate.load(Ordering::SeqCst)
    }

    /// The rates that were asked for, in order.
    fn rates_asked(&self) -> Vec<u32> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter_map(|request| if let Request::SetLineRate(baud) = request { Some(*baud) } else { None })
            .collect()
    }

    /// The board starts anew, unasked, at the usual rate.
    fn restart(&self) {
        self.rate.store(LINE_RATES[0], Ordering::SeqCst);
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Ends<'a> = (&'a AtomicU32, &'a Mutex<Vec<Request>>, &'a AtomicBool);

fn play(mut board: TTYPort, tool: &TTYPort, holds: u32, knows_rates: bool, (rate, told, stop): Ends) {
    board.set_timeout(Duration::from_millis(10)).unwrap();
    let (mut decoder, mut bytes, mut deaf_since) = (Decoder::new(), [0; 512], None::<Instant>);
    while !stop.load(Ordering::SeqCst) {
        let heard = board.read(&mut bytes).unwrap_or(0);
        let own = rate.load(Ordering::SeqCst);
        // What the tool set its end to: both ends of a pseudo-terminal have one setting.
        let is_clear = tool.baud_rate().is_ok_and(|theirs| theirs == own) && own <= holds;
        if heard > 0 && !is_clear {
            deaf_since.get_or_insert_with(Instant::now);
            board.write_all(b"\x55\xaa\x00").unwrap();
        }
        if own != LINE_RATES[0] && deaf_since.is_some_and(|since| since.elapsed() >= DEAF_LIMIT) {
            (decoder, deaf_since) = (Decoder::new(), None);
            rate.store(LINE_RATES[0], Ordering::SeqCst);
        }
        if heard == 0 || !is_clear {
            continue;
        }
        deaf_since = None;
        for frame in decoder.push(&bytes[..heard]).into_iter().flatten() {
            let call = decode_call(&frame.payload).unwrap();
            let result = answer(&call.request, knows_rates);
            let is_done = result.is_ok();
            board.write_all(&encode_answer(&Answer { number: call.number, result }).unwrap()).unwrap();
            if let (Request::SetLineRate(baud), true) = (&call.request, is_done) {
                rate.store(*baud, Ordering::SeqCst);
            }
            told.lock().unwrap().push(call.request);
        }
    }
}

fn answer(request: &Request, knows_rates: bool) -> Result<Response, Refusal> {
    match request {
        Request::Hello => Ok(Response::Hello(hello())),
        Request::Relay(_) => Ok(Response::Done),
        Request::SetLineRate(_) if knows_rates => Ok(Response::Done),
        _ => Err(Refusal::NotUnderstood),
    }
}

fn target() -> Option<RelayTarget> {
    Some(RelayTarget { host: "127.0.0.1".into(), port: 8883 })
}

/// Waits until the board speaks at this rate.
async fn wait_for_rate(played: &Played, baud: u32) {
    let end = Instant::now() + LONG;
    while played.rate() != baud {
        assert!(Instant::now() < end, "the board speaks at {}", played.rate());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_line_is_fast_while_a_connection_is_carried_and_usual_before_and_after() {
    let played = Played::start(921_600, true);
    let board = played.open().await;
    board.offer_relay(target()).await.unwrap();
    assert_eq!(played.rate(), 921_600);
    assert!(matches!(board.identify().await.unwrap(), Found::Running { .. }));
    board.offer_relay(None).await.unwrap();
    assert_eq!((played.rate(), played.rates_asked()), (115_200, vec![921_600, 115_200]));
    board.offer_relay(target()).await.unwrap();
    drop(board);
    wait_for_rate(&played, 115_200).await;
}

#[tokio::test]
async fn a_line_that_does_not_hold_a_rate_gets_the_next_lower_one() {
    let played = Played::start(460_800, true);
    let board = played.open().await;
    board.offer_relay(target()).await.unwrap();
    assert_eq!((played.rate(), played.rates_asked()), (460_800, vec![921_600, 460_800]));
    assert!(matches!(board.identify().await.unwrap(), Found::Running { .. }));
}

#[tokio::test]
async fn a_firmware_without_rates_is_carried_at_the_usual_one() {
    let played = Played::start(921_600, false);
    let board = played.open().await;
    board.offer_relay(target()).await.unwrap();
    assert_eq!((played.rate(), played.rates_asked().len()), (115_200, 1));
    assert!(matches!(board.identify().await.unwrap(), Found::Running { .. }));
}

#[tokio::test]
async fn a_board_that_started_anew_is_understood_again_and_offered_the_relay() {
    let played = Played::start(921_600, true);
    let board = played.open().await;
    board.offer_relay(target()).await.unwrap();
    played.restart();
    let end = Instant::now() + LONG;
    // The first questions meet a board that speaks at another rate.
    while board.call(Request::Hello).await.is_err() {
        assert!(Instant::now() < end, "the board is not understood");
    }
    let offers = || played.asked.lock().unwrap().iter().filter(|request| **request == Request::Relay(true)).count();
    while offers() < 2 {
        assert!(Instant::now() < end, "the offer is not repeated");
        sleep(Duration::from_millis(20)).await;
    }
}
