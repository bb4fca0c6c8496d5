//! Finds what broken-off jobs left in the cloud, shows it, and retires it when asked.

use std::sync::Arc;

use super::{
    AsInput, Exit, Stop, args,
    ask::Terminal,
    report::{print_json, print_line},
};
use crate::{
    app::{workshop, world::World},
    commission::sweep as leftovers,
};

pub(super) async fn sweep(args: args::Sweep, world: Arc<dyn World>) -> Result<Exit, Stop> {
    let site = world.site(args.site.site.as_deref()).input()?;
    let ledger = world.ledger(args.ledger.ledger.as_deref())?;
    let bench = workshop::bench(&world, &site, &ledger, Arc::new(Terminal)).await?;
    let found = leftovers::find(&bench).await?;
    if found.is_empty() && !args.json {
        print_line("Nothing is left over.");
    }
    for leftover in &found {
        if args.json {
            print_json(leftover);
        } else {
            print_line(&leftover.to_string());
        }
    }
    if !args.apply {
        if !found.is_empty() && !args.json {
            print_line("Nothing was changed. Retire these with --apply.");
        }
        return Ok(Exit::Passed);
    }
    let mut kept = 0;
    for leftover in &found {
        match leftovers::retire(&bench, leftover).await {
            Ok(()) if args.json => {}
            Ok(()) => print_line(&format!("retired: {leftover}")),
            Err(problem) => {
                kept += 1;
                super::print_problem(&problem);
            }
        }
    }
    Ok(if kept == 0 { Exit::Passed } else { Exit::Failed })
}
