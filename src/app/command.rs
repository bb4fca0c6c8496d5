//! What a screen can ask of the core.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::{settings::Settings, sound::Sound, truck::Handling};
use crate::{
    commission::{CalibrationChoice, sweep::Leftover},
    domain::{JobId, ThingName, TruckId},
    ports::operator::Reply,
};

/// Everything a screen can ask. Each is answered by updates; none waits.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Look at every idle board anew.
    Refresh,
    /// Commission the board at a port.
    Commission {
        /// The port.
        port: String,
        /// The truck.
        truck: TruckId,
        /// Name of the thing; made from the site's template when absent.
        thing: Option<ThingName>,
        /// How the board is calibrated.
        calibration: CalibrationChoice,
    },
    /// Go on with a job, with the board at a port.
    Resume {
        /// The job.
        job: JobId,
        /// The port.
        port: String,
    },
    /// Take back what a job did. The board is looked for at every port; without it the cloud's part is undone.
    Undo {
        /// The job.
        job: JobId,
    },
    /// End the job at a port at its next safe point.
    Cancel {
        /// The port.
        port: String,
        /// Why, for the record of the screen.
        reason: String,
    },
    /// Put the ended run at a port away; board and cloud stay as they are.
    Keep {
        /// The port.
        port: String,
    },
    /// Answer the question at a port.
    Answer {
        /// The port.
        port: String,
        /// The answer.
        reply: Reply,
    },
    /// Lay a hand on the imitated truck at a port; on a real bench nothing happens.
    HandleTruck {
        /// The port.
        port: String,
        /// What to do.
        handling: Handling,
    },
    /// Read the record.
    LoadJobs,
    /// Read one job with its steps.
    OpenJob {
        /// The job.
        job: JobId,
    },
    /// Find what broken-off jobs left in the cloud.
    FindLeftovers,
    /// Retire one of them.
    Retire {
        /// What to retire.
        leftover: Leftover,
    },
    /// Retire a thing.
    Decommission {
        /// The thing.
        thing: ThingName,
    },
    /// Follow a thing in the cloud: its readings and its shadow.
    WatchThing {
        /// The thing.
        thing: ThingName,
    },
    /// Follow it no more.
    Unwatch {
        /// The thing.
        thing: ThingName,
    },
    /// Read a shadow.
    ReadShadow {
        /// The thing.
        thing: ThingName,
    },
    /// Change what is desired of a board.
    SetDesired {
        /// The thing.
        thing: ThingName,
        /// The fields to change, a JSON object.
        desired: Value,
        /// What was desired when the change was made. Where something else is desired meanwhile, that is a conflict;
        /// a board's reports, which change the version too, are none. Without it the change is made in any case.
        seen: Option<Map<String, Value>>,
    },
    /// Take another site profile.
    LoadSite {
        /// Its file; the configured one without.
        file: Option<PathBuf>,
    },
    /// Check a site profile, write it and take it.
    SaveSite {
        /// Its text.
        text: String,
        /// Its file; the configured one without.
        file: Option<PathBuf>,
    },
    /// Check this computer.
    Doctor,
    /// Ask the cloud who is signed in.
    ReadLogin,
    /// Ask whether there is a newer version of the program: one request, never by itself.
    LookForNewer,
    /// Write a file: an export, a sheet, a bundle.
    SaveFile {
        /// Where.
        file: PathBuf,
        /// What.
        bytes: Vec<u8>,
    },
    /// Write what support needs, without a secret.
    SaveBundle {
        /// Where.
        file: PathBuf,
    },
    /// Write the hand-over sheet of a job.
    SaveSheet {
        /// The job.
        job: JobId,
        /// Where.
        file: PathBuf,
    },
    /// Let something be heard.
    Play {
        /// The sound.
        sound: Sound,
    },
    /// Keep the window's settings.
    SaveSettings {
        /// The settings.
        settings: Settings,
    },
}

impl Command {
    /// What it does, for a message about its failure.
    pub fn doing(&self) -> &'static str {
        match self {
            Command::Refresh => "Looking at the boards",
            Command::Commission { .. } => "Commissioning",
            Command::Resume { .. } => "Resuming the job",
            Command::Undo { .. } => "Undoing the job",
            Command::Cancel { .. } => "Cancelling",
            Command::Keep { .. } => "Putting the run away",
            Command::Answer { .. } => "Answering",
            Command::HandleTruck { .. } => "Handling the truck",
            Command::LoadJobs => "Reading the record",
            Command::OpenJob { .. } => "Reading the job",
            Command::FindLeftovers => "Finding leftovers",
            Command::Retire { .. } => "Retiring the leftover",
            Command::Decommission { .. } => "Decommissioning",
            Command::WatchThing { .. } | Command::Unwatch { .. } => "Following the thing",
            Command::ReadShadow { .. } => "Reading the shadow",
            Command::SetDesired { .. } => "Changing what is desired",
            Command::LoadSite { .. } => "Reading the site profile",
            Command::SaveSite { .. } => "Saving the site profile",
            Command::Doctor => "Checking this computer",
            Command::ReadLogin => "Reading the login",
            Command::LookForNewer => "Looking for a newer version",
            Command::SaveFile { .. } => "Saving the file",
            Command::SaveBundle { .. } => "Saving the support bundle",
            Command::SaveSheet { .. } => "Saving the hand-over sheet",
            Command::Play { .. } => "Playing a sound",
            Command::SaveSettings { .. } => "Saving the settings",
        }
    }
}
