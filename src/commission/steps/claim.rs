//! Whose board and whose thing it is.

use crate::{
    commission::{run::Run, step::Halt},
    domain::{
        Mac, Problem, ThingName, TruckId,
        thing::{MAC_ATTRIBUTE, TRUCK_ATTRIBUTE, Thing},
    },
    ports::ledger::JobState,
};

/// Whether a thing of this name may be this job's: there is none, or it is of the same board in the same truck.
pub enum ThingClaim {
    /// There is none.
    Free,
    /// An earlier run of this job, or an earlier job on the same board for the same truck, made it.
    SameBoard,
}

/// Looks the job's thing up.
pub async fn thing(run: &Run, mac: Mac) -> Result<ThingClaim, Halt> {
    let name = thing_name(run)?;
    match run.bench.cloud.thing(&name).await? {
        None => Ok(ThingClaim::Free),
        Some(thing) if is_of(&thing, mac, &run.order.truck) => Ok(ThingClaim::SameBoard),
        Some(_) => taken(&name),
    }
}

/// The name is another board's.
pub fn taken<T>(name: &ThingName) -> Result<T, Halt> {
    let problem = Problem::new(
        "thing.taken",
        format!("The thing {name} exists already and belongs to another board"),
        "Check the truck's number; if it is right, decommission the other board first",
    );
    let terminal = format!("`coldbench decommission --thing {name}`, or another name with --thing");
    Err(Halt::Failed(problem.in_terminal(terminal)))
}

/// Refuses a board that works in another truck: one that says so itself, or that the record remembers so, while the
/// cloud has it so too. What the cloud no longer has was retired without the board, and is overwritten.
pub async fn board_is_free(run: &Run, mac: Mac, held_by_board: Option<&str>) -> Result<(), Halt> {
    let ours = thing_name(run)?;
    let mut names: Vec<ThingName> = held_by_board.and_then(|name| name.parse().ok()).into_iter().collect();
    let passed = run.bench.ledger.jobs()?.into_iter().filter(|job| job.state == JobState::Passed);
    names.extend(passed.filter(|job| job.mac == Some(mac)).filter_map(|job| job.thing));
    names.sort();
    names.dedup();
    for name in names.iter().filter(|name| **name != ours) {
        let Some(thing) = run.bench.cloud.thing(name).await? else { continue };
        if thing.attributes.get(MAC_ATTRIBUTE) == Some(&mac.to_string()) {
            let truck = thing.attributes.get(TRUCK_ATTRIBUTE).map_or("unknown", String::as_str);
            let problem = Problem::new(
                "board.other-truck",
                format!("The board is commissioned as {name} in the truck {truck}"),
                "Decommission it first, or take another board",
            );
            return Err(Halt::Failed(problem.in_terminal(format!("`coldbench decommission --thing {name}`"))));
        }
    }
    Ok(())
}

/// The job's thing.
pub fn thing_name(run: &Run) -> Result<ThingName, Halt> {
    // The record has it since the job was opened, so that a changed site profile makes no second thing.
    match run.record().thing {
        Some(name) => Ok(name),
        None => Ok(run.order.thing_name(&run.kit.site)?),
    }
}

fn is_of(thing: &Thing, mac: Mac, truck: &TruckId) -> bool {
    thing.job().is_some()
        && thing.attributes.get(MAC_ATTRIBUTE) == Some(&mac.to_string())
        && thing.attributes.get(TRUCK_ATTRIBUTE).map(String::as_str) == Some(truck.as_str())
}
