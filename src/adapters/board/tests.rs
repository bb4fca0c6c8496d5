//! The link against a scripted board behind a pseudo-terminal.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use coldbench_protocol::{
    Answer, Call, Hello, PROTOCOL_VERSION, Refusal, Request, Response, Settings,
    frame::{Channel, Decoder, decode_call, encode, encode_answer},
};
use serialport::{SerialPort, TTYPort};

use super::*;
use crate::ports::board::{Access, Reset};

/// Ends a hang; nothing is measured by it.
const LONG: Duration = Duration::from_secs(60);

/// The board's end of a pseudo-terminal and a thread that answers there.
struct Peer {
    port: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    calls: Receiver<Request>,
}

/// What the peer writes in answer to a call, as bytes on the line.
type Script = Box<dyn FnMut(&Call) -> Vec<u8> + Send>;

impl Peer {
    fn start(first: Vec<u8>, mut script: Script) -> Self {
        let (mut board, tool) = TTYPort::pair().unwrap();
        let port = tool.name().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (told, calls) = channel();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            // Kept open, so that the line does not vanish when the tool closes its end.
            let _tool = tool;
            board.set_timeout(Duration::from_millis(20)).unwrap();
            board.write_all(&first).unwrap();
            let mut decoder = Decoder::new();
            let mut bytes = [0; 512];
            while !stopped.load(Ordering::SeqCst) {
                let Ok(len) = board.read(&mut bytes) else { continue };
                for frame in decoder.push(&bytes[..len]).into_iter().flatten() {
                    let call = decode_call(&frame.payload).unwrap();
                    let answer = script(&call);
                    let _ = told.send(call.request);
                    board.write_all(&answer).unwrap();
                }
            }
        });
        Peer { port, stop, thread: Some(thread), calls }
    }

    /// Takes the line away.
    fn unplug(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    async fn open(&self) -> Box<dyn Board> {
        SerialBoards::default().open(&self.port, OpenOptions::default()).await.unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

pub(super) fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        firmware: "0.1.0".into(),
        image_sha256: [7; 32],
        mac: [0x60, 0x55, 0xF9, 0, 0, 1],
        chip: "esp32c3".into(),
        thing_name: None,
        reset_reason: "power-on".into(),
    }
}

fn answer(number: u16, result: Result<Response, Refusal>) -> Vec<u8> {
    encode_answer(&Answer { number, result }).unwrap()
}

fn answers_hello(call: &Call) -> Vec<u8> {
    match call.request {
        Request::Hello => answer(call.number, Ok(Response::Hello(hello()))),
        Request::ReadSettings => answer(call.number, Ok(Response::Settings(Settings::default()))),
        _ => answer(call.number, Err(Refusal::NoKey)),
    }
}

#[tokio::test]
async fn a_running_firmware_is_identified_asked_and_heard() {
    let script: Script = Box::new(|call| {
        // Text, noise and a reading come before the answer.
        let mut line = b"ESP-ROM:esp32c3\r\n\xC0\xFF".to_vec();
        line.extend(encode(Channel::Reading, b"{\"truck\":1}"));
        line.extend(answers_hello(call));
        line
    });
    let peer = Peer::start(Vec::new(), script);
    let board = peer.open().await;
    let mut readings = board.readings();
    let Found::Running { hello } = board.identify().await.unwrap() else { panic!("no firmware found") };
    assert_eq!(hello.mac.to_string(), "60:55:f9:00:00:01");
    let settings = board.call(Request::ReadSettings).await.unwrap();
    assert_eq!(settings, Response::Settings(Settings::default()));
    assert!(matches!(board.call(Request::ReadIdentity).await, Err(BoardError::Refused(Refusal::NoKey))));
    let reading = tokio::time::timeout(LONG, readings.recv()).await.unwrap().unwrap();
    assert_eq!(reading.payload, b"{\"truck\":1}");
    assert_eq!(board.boot(LONG).await.unwrap().chip, "esp32c3");
}

#[tokio::test]
async fn a_lost_request_is_asked_again_once() {
    let mut lost = false;
    let script: Script =
        Box::new(move |call| if std::mem::replace(&mut lost, true) { answers_hello(call) } else { Vec::new() });
    let peer = Peer::start(Vec::new(), script);
    let board = peer.open().await;
    assert!(board.call(Request::ReadSettings).await.is_ok());
    let asked: Vec<Request> = peer.calls.try_iter().collect();
    assert_eq!(asked, [Request::ReadSettings, Request::ReadSettings]);
}

#[tokio::test]
async fn noise_instead_of_answers_is_named() {
    let peer = Peer::start(Vec::new(), Box::new(|_| vec![1, 2, 3, 0]));
    let board = peer.open().await;
    assert!(matches!(board.call(Request::ReadSettings).await, Err(BoardError::Garbage { dropped: 1.. })));
}

#[tokio::test]
async fn a_firmware_that_does_not_start_leaves_its_last_words() {
    let peer = Peer::start(b"invalid header: 0xffffffff\r\n".to_vec(), Box::new(|_| Vec::new()));
    let board = peer.open().await;
    let Err(BoardError::NoHello { log, .. }) = board.boot(Duration::from_secs(2)).await else {
        panic!("a hello from nowhere")
    };
    assert!(log.contains("invalid header: 0xffffffff"), "{log:?}");
}

#[tokio::test]
async fn neither_firmware_nor_loader_is_silence() {
    let peer = Peer::start(Vec::new(), Box::new(|_| Vec::new()));
    let board = peer.open().await;
    assert!(matches!(board.identify().await, Err(BoardError::Silent)));
}

#[tokio::test]
async fn an_open_port_is_busy_for_others_and_free_after_closing() {
    let peer = Peer::start(Vec::new(), Box::new(answers_hello));
    let boards = SerialBoards::new(vec![peer.port.clone()]);
    let listed = async || boards.ports().await.into_iter().find(|info| info.port == peer.port).unwrap();
    assert_eq!(listed().await.access, Access::Ok);
    let board = peer.open().await;
    let again = boards.open(&peer.port, OpenOptions { reset: Reset::None, ..OpenOptions::default() }).await;
    assert!(matches!(again.err(), Some(BoardError::Busy { .. })));
    if cfg!(target_os = "linux") {
        assert_eq!(listed().await.access, Access::Busy);
    }
    drop(board);
    assert!(boards.open(&peer.port, OpenOptions::default()).await.is_ok());
}

#[tokio::test]
async fn a_port_that_is_not_there_is_named() {
    let error = SerialBoards::default().open("/nonexistent/ttyUSB0", OpenOptions::default()).await.err();
    assert!(matches!(error, Some(BoardError::NoPort { .. })), "{error:?}");
}

#[tokio::test]
async fn an_unplugged_board_says_so_and_stays_so() {
    let mut peer = Peer::start(Vec::new(), Box::new(answers_hello));
    let board = peer.open().await;
    assert!(board.identify().await.is_ok());
    let mut readings = board.readings();
    peer.unplug();
    let ended = tokio::time::timeout(LONG, readings.recv()).await.unwrap();
    assert!(ended.is_err(), "whoever listens is told: {ended:?}");
    assert!(board.readings().recv().await.is_err());
    for _ in 0..2 {
        assert!(matches!(board.call(Request::ReadSettings).await, Err(BoardError::Unplugged)));
    }
    assert!(matches!(board.identify().await, Err(BoardError::Unplugged)));
}
