//! flash: the firmware, written and verified. Skipped when the board already answers with this image's digest.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::identify::{Identify, other_board};
use crate::{
    commission::{
        events::Unit,
        plan::StepName,
        run::Run,
        step::{Halt, Outcome, Step},
    },
    domain::Mac,
    ports::{
        board::{BoardError, FlashPhase, FlashProgress, FlashReport, Found},
        ledger::LedgerError,
    },
};

/// The slowest line (115200 baud without the stub) needs some six minutes for a full 4 MiB.
pub(in crate::commission) const FLASH_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The step.
pub struct Flash;

/// What the board now holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flashed {
    /// Digest of the image.
    pub image_sha256: String,
    /// Version of the firmware.
    pub firmware: String,
    /// What was written; `None` when it was there already.
    pub report: Option<FlashReport>,
}

impl Step for Flash {
    type Output = Flashed;
    const NAME: StepName = StepName::Flash;
    // Between two slices is the place to stop; a write that is torn off leaves the loader in the middle of a command.
    const CANCEL_GRACE: Duration = Duration::from_secs(15);

    fn limit(_: &Run) -> Duration {
        FLASH_LIMIT
    }

    fn intent(run: &Run) -> Value {
        let manifest = &run.kit.image.manifest;
        json!({ "image_sha256": manifest.image_sha256, "firmware": manifest.version })
    }

    async fn check(run: &Run) -> Result<Option<Outcome<Flashed>>, Halt> {
        let Found::Running { hello } = run.output::<Identify>()?.found else { return Ok(None) };
        let manifest = &run.kit.image.manifest;
        if !hello.image_sha256.eq_ignore_ascii_case(&manifest.image_sha256) {
            return Ok(None);
        }
        let message = format!("Firmware {} is on the board already", manifest.version);
        Ok(Some(Outcome::skipped(flashed(run, None), message)))
    }

    async fn run(run: &Run) -> Result<Outcome<Flashed>, Halt> {
        let mac = run.output::<Identify>()?.found.mac();
        let board = run.board().await?;
        remember_image(run, mac, "none that is whole")?;
        let told = |progress: FlashProgress| {
            let count = (progress.done_bytes, progress.total_bytes, Unit::Bytes);
            run.teller.progress(StepName::Flash, count, format!("{} {}", verb(progress.phase), progress.part));
        };
        let key = held_baud_key(&run.record().port, Some(mac));
        let held_baud = run.bench.ledger.recall(&key)?.and_then(|baud| baud.parse().ok());
        let report = match board.flash(&run.kit.image, held_baud, &told, &run.cancel).await {
            Err(BoardError::Cancelled { .. }) => return Err(Halt::Cancelled),
            other => other?,
        };
        if report.chip.mac != mac {
            return other_board(mac, report.chip.mac);
        }
        remember_image(run, mac, &run.kit.image.manifest.image_sha256)?;
        run.bench.ledger.remember(&key, &report.baud.to_string())?;
        let message = format!(
            "{} bytes written, {} were right already, in {:.1} s at {} baud",
            report.written_bytes, report.skipped_bytes, report.seconds, report.baud
        );
        Ok(Outcome::done(flashed(run, Some(report)), message))
    }
}

/// Where the speed is remembered that held on a port, for one board or for whichever is on it.
pub fn held_baud_key(port: &str, board: Option<Mac>) -> String {
    match board {
        Some(mac) => format!("flash-baud.{port}.{mac}"),
        None => format!("flash-baud.{port}"),
    }
}

/// Remembers what image a board holds, so that a half-written one is known as such.
fn remember_image(run: &Run, mac: Mac, image: &str) -> Result<(), LedgerError> {
    run.bench.ledger.remember(&format!("board.{mac}.image"), image)
}

fn flashed(run: &Run, report: Option<FlashReport>) -> Flashed {
    let manifest = &run.kit.image.manifest;
    Flashed { image_sha256: manifest.image_sha256.clone(), firmware: manifest.version.clone(), report }
}

fn verb(phase: FlashPhase) -> &'static str {
    match phase {
        FlashPhase::Connect => "Connecting for",
        FlashPhase::Compare => "Comparing",
        FlashPhase::Write => "Writing",
        FlashPhase::Verify => "Verifying",
    }
}
