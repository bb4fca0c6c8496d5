//! Commands that need no port: the record, the cloud, the site, files.

use std::{path::PathBuf, sync::Arc};

use serde_json::{Map, Value};
use tokio::{
    sync::mpsc,
    time::{Duration, timeout},
};

use super::{
    bay, bundle,
    command::Command,
    hand_over,
    office::Office,
    operator::Nobody,
    settings::{self, Settings},
    update::{JobDetails, SiteView, Update},
};
use crate::{
    commission::{decommission::decommission, sweep},
    domain::{JobId, Problem, ThingName, site::Site},
    ports::{Cancel, cloud::CloudError},
};

/// The longest that any of it may take. A decommissioning and a sweep wait for the cloud many times.
const LIMIT: Duration = Duration::from_secs(600);
/// How often a change of a shadow is tried again while its board reports in between.
const MAX_TRIES: u32 = 5;
/// Events of a job that may wait.
const EVENTS: usize = 256;

/// Does it, and tells how it went.
pub(super) async fn run(office: &Office, command: Command) {
    let doing = command.doing();
    let done = timeout(LIMIT, work(office, command)).await.unwrap_or_else(|_| {
        Err(Problem::new("core.overdue", "It did not end in time", "Check the network connection and try again"))
    });
    if let Err(problem) = done {
        office.outbox.tell(Update::Failed { port: None, doing, problem }).await;
    }
}

async fn work(office: &Office, command: Command) -> Result<(), Problem> {
    let outbox = &office.outbox;
    match command {
        Command::LoadJobs => office.tell_jobs().await?,
        Command::OpenJob { job } => outbox.tell(Update::JobOpened(Box::new(details(office, &job)?))).await,
        Command::FindLeftovers => {
            let bench = office.bench(Arc::new(Nobody)).await?;
            outbox.tell(Update::Leftovers(sweep::find(&bench).await?)).await;
        }
        Command::Retire { leftover } => {
            sweep::retire(&office.bench(Arc::new(Nobody)).await?, &leftover).await?;
            outbox.tell(Update::Retired(leftover)).await;
        }
        Command::Decommission { thing } => decommission_in_cloud(office, &thing).await?,
        Command::ReadShadow { thing } => tell_shadow(office, thing).await?,
        Command::SetDesired { thing, desired, seen } => set_desired(office, thing, desired, seen).await?,
        Command::LoadSite { file } => load_site(office, file).await?,
        Command::SaveSite { text, file } => save_site(office, text, file).await?,
        Command::Doctor => {
            let findings = office.world.look_around(&office.site()?).await;
            outbox.tell(Update::Findings(findings)).await;
        }
        Command::ReadLogin => {
            office.forget_cloud();
            let login = async { Ok(office.cloud().await?.cloud.login().await?) };
            outbox.tell(Update::Login(login.await)).await;
        }
        Command::LookForNewer => outbox.tell(Update::Newest(office.world.newest_release(None).await)).await,
        Command::SaveFile { file, bytes } => save(office, file, &bytes).await?,
        Command::SaveBundle { file } => {
            let text = bundle::of(office).await;
            save(office, file, text.as_bytes()).await?;
        }
        Command::SaveSheet { job, file } => {
            let page = hand_over::page(&details(office, &job)?)?;
            save(office, file, page.as_bytes()).await?;
        }
        Command::Play { sound } => {
            let problem = office.world.play(sound).await.err();
            if let Some(problem) = &problem {
                tracing::warn!(%problem, "no sound");
            }
            outbox.tell(Update::Played { problem }).await;
        }
        Command::SaveSettings { settings } => {
            let text = serde_json::to_string(&settings).unwrap_or_default();
            office.ledger()?.ledger.remember(settings::KEY, &text)?;
            outbox.tell(Update::Settings(settings)).await;
        }
        // The core itself does these.
        Command::Refresh
        | Command::Commission { .. }
        | Command::Resume { .. }
        | Command::Undo { .. }
        | Command::Cancel { .. }
        | Command::Keep { .. }
        | Command::Answer { .. }
        | Command::HandleTruck { .. }
        | Command::WatchThing { .. }
        | Command::Unwatch { .. } => {}
    }
    Ok(())
}

/// Tells the settings that were kept, or the usual ones, and where they are kept.
pub(super) async fn tell_settings(office: &Office) {
    let open = office.ledger().ok();
    let kept = open.as_ref().and_then(|open| open.ledger.recall(settings::KEY).ok().flatten());
    if let Some(open) = open {
        office.outbox.tell(Update::LedgerFile(open.file)).await;
    }
    let settings: Settings = kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    office.outbox.tell(Update::Settings(settings)).await;
}

fn details(office: &Office, job: &JobId) -> Result<JobDetails, Problem> {
    let ledger = office.ledger()?.ledger;
    let record = ledger
        .job(job)?
        .ok_or_else(|| Problem::new("job.unknown", format!("The record has no job {job}"), "Read the record again"))?;
    Ok(JobDetails { record, steps: ledger.steps(job)? })
}

async fn decommission_in_cloud(office: &Office, thing: &ThingName) -> Result<(), Problem> {
    let bench = office.bench(Arc::new(Nobody)).await?;
    let (sender, events) = mpsc::channel(EVENTS);
    let work = decommission(&bench, thing, None, sender, Cancel::default());
    tokio::join!(work, bay::forward(office, None, events));
    office.tell_jobs().await
}

async fn tell_shadow(office: &Office, thing: ThingName) -> Result<(), Problem> {
    let shadow = office.cloud().await?.cloud.shadow(&thing).await?.map(Box::new);
    office.outbox.tell(Update::Shadow { thing, shadow }).await;
    Ok(())
}

async fn set_desired(
    office: &Office,
    thing: ThingName,
    desired: Value,
    seen: Option<Map<String, Value>>,
) -> Result<(), Problem> {
    if !desired.is_object() {
        return Err(Problem::new("input.json", "What is desired is not a JSON object", "Write fields with values"));
    }
    let cloud = office.cloud().await?.cloud;
    let mut tries = 0;
    loop {
        let version = match &seen {
            None => None,
            Some(seen) => match cloud.shadow(&thing).await? {
                Some(theirs) if theirs.state.desired != *seen => {
                    let theirs = Box::new(theirs);
                    office.outbox.tell(Update::ShadowConflict { thing, mine: desired, theirs }).await;
                    return Ok(());
                }
                Some(same) => Some(same.version),
                None => None,
            },
        };
        match cloud.set_desired(&thing, &desired, version).await {
            // The answer of an update holds only what was changed, so the whole is read.
            Ok(_) => return tell_shadow(office, thing).await,
            // The board reported, or somebody was faster: the next look tells which.
            Err(CloudError::Conflict { .. }) if tries < MAX_TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn load_site(office: &Office, file: Option<PathBuf>) -> Result<(), Problem> {
    let site = office.world.site(file.as_deref())?;
    let file = file.unwrap_or_else(|| office.world.site_file());
    // Without a file there is nothing to edit yet.
    let read = office.world.read_text(&file);
    let (file, text) = match read {
        Ok(text) => (Some(file), text),
        Err(_) => (None, String::new()),
    };
    office.take_site(SiteView { file, text, site }).await;
    Ok(())
}

async fn save_site(office: &Office, text: String, file: Option<PathBuf>) -> Result<(), Problem> {
    // Only what can be read again is written.
    Site::parse(&text)?;
    let file = file.or_else(|| office.site_file()).unwrap_or_else(|| office.world.site_file());
    save(office, file.clone(), text.as_bytes()).await?;
    load_site(office, Some(file)).await
}

async fn save(office: &Office, file: PathBuf, bytes: &[u8]) -> Result<(), Problem> {
    office.world.write_file(&file, bytes)?;
    office.outbox.tell(Update::FileSaved { file }).await;
    Ok(())
}
