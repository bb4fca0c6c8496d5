//! Commands that only look, or change one desired value: ports, live, shadow, doctor.

use std::{sync::Arc, time::Duration};

use tokio::{sync::broadcast::error::RecvError, time::timeout};

use super::{
    AsInput, Exit, Stop, args,
    report::{print_json, print_line},
};
use crate::{
    app::world::World,
    domain::{
        Problem, Reading, ThingName,
        finding::{Finding, FindingState},
    },
    ports::{
        board::{Access, BoardError, OpenOptions, PortInfo},
        broker::Broker,
    },
};

/// How long `live` waits for a reading: twice the longest usual interval, and the start of a board.
const READING_PATIENCE: Duration = Duration::from_secs(180);

pub(super) async fn ports(args: args::Json, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let ports = world.boards().ports().await;
    if args.json {
        ports.iter().for_each(print_json);
    } else if ports.is_empty() {
        print_line("No serial port. Plug a board in; if it stays away, try another cable: some only charge.");
    } else {
        print_line(&format!("{:<20}  {:<24}  {:<14}  usb id", "port", "seems to be", "access"));
        ports.iter().for_each(print_port);
    }
    Ok(Exit::Passed)
}

fn print_port(port: &PortInfo) {
    let access = match port.access {
        Access::Ok => "ok",
        Access::Busy => "busy",
        Access::NoPermission => "no permission",
        Access::Unavailable => "unavailable",
    };
    let guess = if port.guess.is_empty() { "unknown" } else { &port.guess };
    let usb = port.usb_id.as_deref().unwrap_or("–");
    print_line(&format!("{:<20}  {guess:<24}  {access:<14}  {usb}", port.port));
    if !port.advice.is_empty() {
        print_line(&format!("    {}", port.advice));
    }
}

pub(super) async fn live(args: args::Live, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let show = Show { json: args.json, left: args.count };
    tokio::select! {
        ended = async {
            match (&args.port, &args.thing) {
                (Some(port), _) => live_usb(port, show, &world).await,
                (None, Some(thing)) => live_cloud(thing, &args, show, &world).await,
                (None, None) => Err(Stop::Input(Problem::new("input.source", "Neither a port nor a thing is given", "Give --port or --thing"))),
            }
        } => ended,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Cancelled),
    }
}

async fn live_usb(port: &str, mut show: Show, world: &Arc<dyn World>) -> Result<Exit, Stop> {
    let board = world.boards().open(port, OpenOptions::default()).await?;
    let mut readings = board.readings();
    while !show.is_done() {
        match timeout(READING_PATIENCE, readings.recv()).await {
            Ok(Ok(stamped)) => show.reading(&stamped.payload)?,
            Ok(Err(RecvError::Lagged(_))) => {}
            Ok(Err(RecvError::Closed)) => return Err(BoardError::Unplugged.into()),
            Err(_) => return Err(BoardError::Silent.into()),
        }
    }
    Ok(Exit::Passed)
}

async fn live_cloud(
    thing: &ThingName,
    args: &args::Live,
    mut show: Show,
    world: &Arc<dyn World>,
) -> Result<Exit, Stop> {
    let site = world.site(args.site.site.as_deref()).input()?;
    let topic = site.topic_for(thing);
    let broker = world.cloud(&site).await?.broker;
    let shown = watch(&*broker, thing, topic, &mut show).await;
    broker.close().await;
    shown.map(|()| Exit::Passed)
}

async fn watch(broker: &dyn Broker, thing: &ThingName, topic: String, show: &mut Show) -> Result<(), Stop> {
    let mut observation = broker.observe(&[topic]).await?;
    while !show.is_done() {
        match timeout(READING_PATIENCE, observation.messages.recv()).await {
            Ok(Some(message)) => show.reading(&message?.payload)?,
            Ok(None) => {
                return Err(Stop::Failed(Problem::new(
                    "broker.lost",
                    "The connection to the message broker was lost",
                    "Try again",
                )));
            }
            Err(_) => {
                let sentence = format!("No reading of {thing} arrived within {} s", READING_PATIENCE.as_secs());
                return Err(Stop::Failed(Problem::new(
                    "live.silent",
                    sentence,
                    "Check the board's supply and network",
                )));
            }
        }
    }
    Ok(())
}

/// Shows readings and counts them.
struct Show {
    json: bool,
    left: Option<u32>,
}

impl Show {
    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    fn reading(&mut self, payload: &[u8]) -> Result<(), Problem> {
        let reading = Reading::parse(payload)?;
        match self.json {
            // The bytes as the board made them: they are one line by construction.
            true => print_line(&String::from_utf8_lossy(payload)),
            false => print_line(&in_words(&reading)),
        }
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }
}

fn in_words(reading: &Reading) -> String {
    let number = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| format!("– {unit}"), |value| format!("{value:.2} {unit}"))
    };
    let time = reading.time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
    let door = match reading.door_open {
        Some(true) => "door open",
        Some(false) => "door closed",
        None => "door –",
    };
    let mut text = format!(
        "{}  {:<6} freezer {}, supply {}, {door}",
        time.as_deref().unwrap_or("no clock yet        "),
        reading.status,
        number(reading.freezer_celsius, "°C"),
        number(reading.supply_volts, "V"),
    );
    if let Some(outside) = reading.outside_celsius {
        text += &format!(", outside {outside:.2} °C");
    }
    for fault in &reading.faults {
        text += &format!(", {} {}", fault.sensor, fault.fault);
    }
    text
}

pub(super) async fn shadow(command: args::Shadow, world: Arc<dyn World>) -> Result<Exit, Stop> {
    match command {
        args::Shadow::Get { thing, site } => {
            let site = world.site(site.site.as_deref()).input()?;
            match world.cloud(&site).await?.cloud.shadow(&thing).await? {
                Some(shadow) => print_json(&shadow),
                None => {
                    let sentence = format!("{thing} has no shadow yet");
                    return Err(Stop::Failed(Problem::new(
                        "shadow.none",
                        sentence,
                        "Check the name, and that its board has been on line",
                    )));
                }
            }
        }
        args::Shadow::Set { thing, desired, site } => {
            let desired: serde_json::Value = serde_json::from_str(&desired)
                .map_err(|error| {
                    let sentence = format!("The desired state is not JSON: {error}");
                    Problem::new("input.json", sentence, "Write an object such as '{\"interval_secs\":10}'")
                })
                .input()?;
            if !desired.is_object() {
                let advice = "Write an object such as '{\"interval_secs\":10}'";
                return Err(Stop::Input(Problem::new("input.json", "The desired state is not a JSON object", advice)));
            }
            let site = world.site(site.site.as_deref()).input()?;
            print_json(&world.cloud(&site).await?.cloud.set_desired(&thing, &desired, None).await?);
        }
    }
    Ok(Exit::Passed)
}

pub(super) async fn doctor(args: args::Doctor, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let site = world.site(args.site.site.as_deref()).input()?;
    let mut findings = world.look_around(&site).await;
    findings.push(match world.ledger(args.ledger.ledger.as_deref()) {
        Ok(open) => Finding::good("record", open.file.display().to_string()),
        Err(problem) => Finding::bad("record", problem),
    });
    for finding in &findings {
        if args.json {
            print_json(finding);
            continue;
        }
        let word = match finding.state {
            FindingState::Good => "ok",
            FindingState::Warning => "note",
            FindingState::Bad => "BAD",
        };
        print_line(&format!("[{word:^4}] {:<12} {}", finding.what, finding.found));
        if !finding.advice.is_empty() {
            print_line(&format!("       {}", finding.advice));
        }
    }
    let is_bad = findings.iter().any(|finding| finding.state == FindingState::Bad);
    Ok(if is_bad { Exit::Failed } else { Exit::Passed })
}

pub(super) async fn updates(args: args::Updates, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let newest = world.newest_release(args.from.as_deref()).await?;
    if args.json {
        print_json(&newest);
    } else if newest.is_newer {
        print_line(&format!("Version {} is out, this is {}: {}", newest.version, newest.this_version, newest.url));
    } else {
        print_line(&format!("Version {} is the newest", newest.this_version));
    }
    Ok(Exit::Passed)
}
