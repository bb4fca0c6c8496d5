//! boot: the firmware starts and is the one that was written.

use std::time::Duration;

use coldbench_protocol::PROTOCOL_VERSION;
use serde_json::{Value, json};

use super::{
    claim,
    identify::{Identify, other_board},
};
use crate::{
    commission::{
        plan::StepName,
        run::Run,
        step::{Halt, Outcome, Step, halt},
    },
    ports::board::HelloFacts,
};

/// How long a start may take, the first format of the kept ranges included.
const HELLO_WITHIN: Duration = Duration::from_secs(20);

/// The step.
pub struct Boot;

impl Step for Boot {
    type Output = HelloFacts;
    const NAME: StepName = StepName::Boot;

    fn limit(_: &Run) -> Duration {
        HELLO_WITHIN + Duration::from_secs(60)
    }

    fn intent(run: &Run) -> Value {
        json!({ "image_sha256": run.kit.image.manifest.image_sha256 })
    }

    async fn check(_: &Run) -> Result<Option<Outcome<HelloFacts>>, Halt> {
        // A board is asked every time: it may have been replugged.
        Ok(None)
    }

    async fn run(run: &Run) -> Result<Outcome<HelloFacts>, Halt> {
        let hello = HelloFacts::from(run.board().await?.boot(HELLO_WITHIN).await?);
        let mac = run.output::<Identify>()?.found.mac();
        if hello.mac != mac {
            return other_board(mac, hello.mac);
        }
        let wanted = &run.kit.image.manifest;
        if !hello.image_sha256.eq_ignore_ascii_case(&wanted.image_sha256) {
            return halt(
                "board.other-image",
                format!("The board started firmware {}, not the {} that was written", hello.firmware, wanted.version),
                "Resume the job to write it again; if it happens again, replace the board",
            );
        }
        if hello.protocol != PROTOCOL_VERSION {
            return halt(
                "board.protocol",
                format!("The firmware speaks version {} of the protocol, not {PROTOCOL_VERSION}", hello.protocol),
                "Use the firmware that came with this version of Coldbench",
            );
        }
        // A blank loader could not tell whose board it was.
        claim::board_is_free(run, mac, hello.thing_name.as_deref()).await?;
        let message = format!("Firmware {} started ({})", hello.firmware, hello.reset_reason);
        Ok(Outcome::done(hello, message))
    }
}
