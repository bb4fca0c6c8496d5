//! The rate of a serial line: the firmware starts at the usual one, and the tool may ask for a faster one while much is
//! to be carried.
//!
//! Both ends go back to the usual rate by themselves when they hear bytes that make no frame for two seconds, so a board
//! that started anew and a tool that broke off are both understood again.

use std::time::{Duration, Instant};

use coldbench_protocol::{LINE_RATES, Request, Response};
use serialport::SerialPort;

use super::link::{LINK_BAUD, Link};
use crate::ports::board::BoardError;

/// How long the board has to be understood at a new rate; shorter than it waits before it goes back.
const TRIAL: Duration = Duration::from_secs(1);
/// After so long without a frame among bytes the other end is taken to speak at the usual rate.
const DEAF_LIMIT: Duration = Duration::from_secs(2);
/// What it takes at most until a board that was not understood is back at the usual rate.
const BACK_WAIT: Duration = Duration::from_secs(5);

/// A rate above the usual one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Raised {
    /// Since when bytes arrived that made no frame.
    deaf_since: Option<Instant>,
}

impl Raised {
    /// Takes what one read brought; `true` when it is time to go back.
    pub(super) fn judge(&mut self, anything: bool, understood: bool) -> bool {
        if understood {
            self.deaf_since = None;
        } else if anything && self.deaf_since.is_none() {
            self.deaf_since = Some(Instant::now());
        }
        self.deaf_since.is_some_and(|since| since.elapsed() >= DEAF_LIMIT)
    }
}

impl Link {
    /// Goes to the fastest rate that holds. A firmware that offers none, and a line that holds none, stay as they are.
    ///
    /// # Errors
    /// The line is gone, or the board is not understood any more.
    pub(super) fn raise_rate(&mut self) -> Result<(), BoardError> {
        if self.raised.is_some() {
            return Ok(());
        }
        for baud in LINE_RATES.into_iter().rev().filter(|baud| *baud > LINK_BAUD) {
            let request = Request::SetLineRate(baud);
            match self.call(&request) {
                Ok(Response::Done) => {}
                Err(error @ BoardError::Unplugged) => return Err(error),
                _ => return Ok(()),
            }
            self.speak_at(baud)?;
            if self.hello(TRIAL)?.is_some() {
                tracing::debug!(baud, "the line is faster now");
                return Ok(());
            }
            tracing::info!(baud, "the line does not hold this rate");
            self.go_back()?;
        }
        Ok(())
    }

    /// Goes back to the usual rate.
    ///
    /// # Errors
    /// The line is gone, or the board is not understood any more.
    pub(super) fn lower_rate(&mut self) -> Result<(), BoardError> {
        if self.raised.is_none() {
            return Ok(());
        }
        match self.call_once(&Request::SetLineRate(LINK_BAUD), TRIAL) {
            Ok(_) => self.speak_at(LINK_BAUD),
            Err(error @ BoardError::Unplugged) => Err(error),
            Err(_) => self.go_back(),
        }
    }

    /// Speaks at the usual rate until the board, which does not understand, comes back to it as well.
    pub(super) fn go_back(&mut self) -> Result<(), BoardError> {
        self.speak_at(LINK_BAUD)?;
        match self.hello(BACK_WAIT)? {
            Some(_) => Ok(()),
            None => Err(BoardError::NoAnswer { request: "hello" }),
        }
    }

    /// Sets the rate of this end.
    pub(super) fn speak_at(&mut self, baud: u32) -> Result<(), BoardError> {
        self.port.set_baud_rate(baud).map_err(|_| BoardError::Unplugged)?;
        self.raised = (baud != LINK_BAUD).then(Raised::default);
        Ok(())
    }
}
