//! Plays a short sound through the player that the system brings. No audio library is linked for two tones.

use std::{ffi::OsString, io::Write as _, path::Path, process::Stdio};

use tokio::{
    process::Command,
    time::{Duration, timeout},
};

use crate::domain::Problem;

/// Two rising tones.
pub const PASS: &[u8] = include_bytes!("../../assets/sounds/pass.wav");
/// Two falling tones.
pub const FAIL: &[u8] = include_bytes!("../../assets/sounds/fail.wav");

/// A player that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// A program that plays a file.
#[derive(Debug, Clone)]
pub struct Player {
    /// The program.
    pub program: OsString,
    /// Its arguments for a file.
    pub arguments: fn(&Path) -> Vec<OsString>,
}

/// The players of this kind of system, the usual one first.
pub fn players() -> Vec<Player> {
    let player = |program: &str, arguments| Player { program: program.into(), arguments };
    let file_alone: fn(&Path) -> Vec<OsString> = |file| vec![file.into()];
    if cfg!(target_os = "macos") {
        vec![player("afplay", file_alone)]
    } else if cfg!(windows) {
        vec![player("powershell", |file| {
            // A file name of our own making: no quote is in it.
            let play = format!("(New-Object Media.SoundPlayer '{}').PlaySync()", file.display());
            vec!["-NoProfile".into(), "-Command".into(), play.into()]
        })]
    } else {
        let quietly: fn(&Path) -> Vec<OsString> = |file| vec!["-q".into(), file.into()];
        vec![player("pw-play", file_alone), player("paplay", file_alone), player("aplay", quietly)]
    }
}

/// Plays a WAV with the first player that can.
///
/// # Errors
/// `sound.player` when none can.
pub async fn play(wav: &[u8], players: &[Player]) -> Result<(), Problem> {
    let failed = |why: String| {
        let advice =
            "Install the system's sound player (paplay or aplay on Linux), or turn the sound off in the settings";
        Problem::new("sound.player", format!("No sound can be played: {why}"), advice)
    };
    let mut file = tempfile::Builder::new().suffix(".wav").tempfile().map_err(|error| failed(error.to_string()))?;
    file.write_all(wav).map_err(|error| failed(error.to_string()))?;
    let path = file.into_temp_path();
    for player in players {
        let mut command = Command::new(&player.program);
        command.args((player.arguments)(&path)).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let played = timeout(LIMIT, command.status()).await;
        if matches!(played, Ok(Ok(status)) if status.success()) {
            return Ok(());
        }
    }
    Err(failed("no player works".to_owned()))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;

    fn player(program: &str) -> Player {
        Player { program: program.into(), arguments: |file| vec![file.into()] }
    }

    #[tokio::test]
    async fn the_first_player_that_can_plays_and_none_is_told() {
        // `test -s FILE` succeeds when there is something in the file.
        let test = Player { program: "test".into(), arguments: |file| vec!["-s".into(), file.into()] };
        play(PASS, &[player("no-such-player"), player("false"), test]).await.unwrap();
        let problem = play(FAIL, &[player("no-such-player"), player("false")]).await.unwrap_err();
        assert_eq!(problem.code, "sound.player");
    }

    #[test]
    fn the_sounds_are_small_wave_files() {
        for wav in [PASS, FAIL] {
            assert!(wav.starts_with(b"RIFF") && wav.len() <= 30_000, "{}", wav.len());
        }
    }
}
