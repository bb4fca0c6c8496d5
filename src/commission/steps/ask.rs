//! Requests to the board with the answers they have.

use coldbench_protocol::{Request, Response};
use tokio::time::{Duration, Instant, sleep};

use crate::{
    domain::{Calibration, Identity, Install, ProbeFault, RawSensors, Settings, Subject},
    ports::board::{Board, BoardError},
};

/// Asks the board and takes the one kind of answer that the request has.
macro_rules! ask {
    ($board:expr, $request:expr, $name:literal, $pattern:pat => $answer:expr) => {
        match $board.call($request).await? {
            $pattern => Ok($answer),
            _ => Err(BoardError::UnexpectedAnswer { request: $name }),
        }
    };
}

pub async fn identity(board: &dyn Board) -> Result<Identity, BoardError> {
    ask!(board, Request::ReadIdentity, "read identity", Response::Identity(identity) => identity)
}

pub async fn make_key(board: &dyn Board, subject: Subject) -> Result<String, BoardError> {
    ask!(board, Request::MakeKey(subject), "make key", Response::Csr(csr_pem) => csr_pem)
}

pub async fn install(board: &dyn Board, install: Install) -> Result<Identity, BoardError> {
    ask!(board, Request::Install(install), "install", Response::Identity(identity) => identity)
}

pub async fn erase_credentials(board: &dyn Board) -> Result<(), BoardError> {
    ask!(board, Request::EraseCredentials, "erase credentials", Response::Done => ())
}

pub async fn sensors(board: &dyn Board) -> Result<RawSensors, BoardError> {
    ask!(board, Request::ReadSensors, "read sensors", Response::Sensors(sensors) => sensors)
}

/// What the sensors say once every probe has converted: in the first second after a start they have not.
pub async fn settled_sensors(board: &dyn Board) -> Result<RawSensors, BoardError> {
    const CONVERTED_WITHIN: Duration = Duration::from_secs(6);
    let deadline = Instant::now() + CONVERTED_WITHIN;
    loop {
        let sensors = sensors(board).await?;
        let converts = sensors.probes.iter().any(|probe| probe.celsius == Err(ProbeFault::Timeout));
        if !converts || Instant::now() >= deadline {
            return Ok(sensors);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

pub async fn calibration(board: &dyn Board) -> Result<Calibration, BoardError> {
    ask!(board, Request::ReadCalibration, "read calibration", Response::Calibration(kept) => kept)
}

pub async fn set_calibration(board: &dyn Board, wanted: Calibration) -> Result<Calibration, BoardError> {
    ask!(board, Request::SetCalibration(wanted), "set calibration", Response::Calibration(kept) => kept)
}

pub async fn settings(board: &dyn Board) -> Result<Settings, BoardError> {
    ask!(board, Request::ReadSettings, "read settings", Response::Settings(kept) => kept)
}

pub async fn set_settings(board: &dyn Board, wanted: Settings) -> Result<Settings, BoardError> {
    ask!(board, Request::SetSettings(wanted), "set settings", Response::Settings(kept) => kept)
}

pub async fn set_clock(board: &dyn Board, unix_millis: u64) -> Result<(), BoardError> {
    ask!(board, Request::SetClock { unix_millis }, "set clock", Response::Done => ())
}
