//! Commands that run a job: commission, resume, undo, decommission, flash.

use std::{future::Future, path::Path, sync::Arc};

use tokio::sync::mpsc;

use super::{
    AsInput, Exit, Stop, args,
    ask::{self, Terminal},
    report::Reporter,
};
use crate::{
    app::{
        flash as flash_only, workshop,
        world::{OpenLedger, World},
    },
    commission::{self, CalibrationChoice, Finished, Order, Place, events::Event},
    domain::{JobId, Problem, calibration::References},
    ports::{
        Cancel,
        board::{OpenOptions, Reset},
        broker::Broker,
        ledger::JobRecord,
    },
};

/// Events that may wait for the terminal; progress beyond it is dropped.
const EVENT_QUEUE: usize = 256;

pub(super) async fn commission(args: args::Commission, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let site = world.site(args.site.site.as_deref()).input()?;
    let calibration = match args.calibration.as_deref() {
        Some(choice) => calibration_choice(choice, &world).input()?,
        None if ask::somebody_is_there() && !args.json => CalibrationChoice::Prompt,
        None => CalibrationChoice::Skip,
    };
    let order = Order {
        port: args.line.port.clone(),
        truck: args.truck,
        thing: args.thing,
        host_key: args.host_key,
        calibration,
        relay: args.relay.into(),
    };
    order.thing_name(&site).input()?;
    let open = OpenOptions { reset: args.line.reset.into(), flash_baud: args.baud, no_stub: false };
    let kit = workshop::kit(&world, site, open).input()?;
    let ledger = world.ledger(args.ledger.ledger.as_deref())?;
    let bench = workshop::bench(&world, &kit.site, &ledger, Arc::new(Terminal)).await?;
    run(args.json, Some(bench.broker.clone()), |events, cancel| async move {
        commission::commission(&bench, order, kit, events, cancel).await
    })
    .await
}

pub(super) async fn resume(args: args::Continue, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let site = world.site(args.site.site.as_deref()).input()?;
    let ledger = world.ledger(args.ledger.ledger.as_deref())?;
    let record = recorded(&ledger, &args)?;
    let place = place(&record, args.port.as_deref());
    let kit = workshop::kit(&world, site, place.open).input()?;
    let bench = workshop::bench(&world, &kit.site, &ledger, Arc::new(Terminal)).await?;
    let job = args.job;
    run(args.json, Some(bench.broker.clone()), |events, cancel| async move {
        commission::resume(&bench, &job, Some(place.port), kit, events, cancel).await
    })
    .await
}

pub(super) async fn undo(args: args::Continue, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let site = world.site(args.site.site.as_deref()).input()?;
    let ledger = world.ledger(args.ledger.ledger.as_deref())?;
    let record = recorded(&ledger, &args)?;
    let place = place(&record, args.port.as_deref());
    let bench = workshop::bench(&world, &site, &ledger, Arc::new(Terminal)).await?;
    let job = args.job;
    run(args.json, Some(bench.broker.clone()), |events, cancel| async move {
        commission::undo(&bench, &job, Some(place), events, cancel).await
    })
    .await
}

pub(super) async fn decommission(args: args::Decommission, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let site = world.site(args.site.site.as_deref()).input()?;
    let ledger = world.ledger(args.ledger.ledger.as_deref())?;
    let bench = workshop::bench(&world, &site, &ledger, Arc::new(Terminal)).await?;
    let thing = args.thing;
    let place = args.port.map(|port| Place { port, open: OpenOptions::default() });
    run(args.json, Some(bench.broker.clone()), |events, cancel| async move {
        commission::decommission::decommission(&bench, &thing, place, events, cancel).await
    })
    .await
}

pub(super) async fn flash(args: args::Flash, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let image = match &args.image {
        Some(file) => world.image(file, args.address).input()?,
        None => world.firmware(&world.site(None).input()?).input()?,
    };
    let ledger = world.ledger(args.ledger.ledger.as_deref())?.ledger;
    let open = args.open_options();
    let boards = world.boards();
    run(args.json, None, |events, cancel| async move {
        flash_only::flash(boards, ledger, (&args.line.port, open), &image, &events, &cancel).await
    })
    .await
}

/// Runs a job, shows its events, and turns an interrupt into a cancel. A second interrupt ends the program at once; the
/// record then says where the job stood.
async fn run<F, J>(json: bool, broker: Option<Arc<dyn Broker>>, job: F) -> Result<Exit, Stop>
where
    F: FnOnce(mpsc::Sender<Event>, Cancel) -> J,
    J: Future<Output = Finished>,
{
    let (sender, mut events) = mpsc::channel(EVENT_QUEUE);
    let cancel = Cancel::default();
    let interrupts = tokio::spawn(cancel_on_interrupt(cancel.clone()));
    let mut reporter = Reporter::new(json);
    let mut told = false;
    let show = async {
        while let Some(event) = events.recv().await {
            told = true;
            reporter.show(&event);
        }
    };
    let (finished, ()) = tokio::join!(job(sender, cancel), show);
    interrupts.abort();
    // An observer with a certificate of its own takes it back before the program ends.
    if let Some(broker) = broker {
        broker.close().await;
    }
    match finished {
        // A job that could not even begin has told nothing.
        Finished { problem: Some(problem), .. } if !told => Err(Stop::Failed(problem)),
        finished => Ok(finished.outcome.into()),
    }
}

async fn cancel_on_interrupt(cancel: Cancel) {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("Cancelling; press Ctrl-C again to leave at once.");
        cancel.cancel();
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(Exit::Cancelled.code().into());
    }
}

fn calibration_choice(choice: &str, world: &Arc<dyn World>) -> Result<CalibrationChoice, Problem> {
    match choice {
        "prompt" => Ok(CalibrationChoice::Prompt),
        "skip" => Ok(CalibrationChoice::Skip),
        job if job.parse::<JobId>().is_ok() && !Path::new(job).exists() => Ok(CalibrationChoice::Earlier(job.parse()?)),
        file => Ok(CalibrationChoice::Given(References::parse(&world.read_text(Path::new(file))?)?)),
    }
}

fn recorded(ledger: &OpenLedger, args: &args::Continue) -> Result<JobRecord, Stop> {
    ledger.ledger.job(&args.job)?.ok_or_else(|| Stop::Input(super::record::no_such_job(&args.job)))
}

/// Where the board of a recorded job is now: where it was, unless the operator says otherwise.
fn place(record: &JobRecord, port: Option<&str>) -> Place {
    Place {
        port: port.unwrap_or(&record.port).to_owned(),
        open: OpenOptions { reset: Reset::Auto, ..OpenOptions::default() },
    }
}
