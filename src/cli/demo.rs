//! The sandbox in the terminal: served for other programs, or shown by commissioning an imitated truck.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Exit, args,
    report::{print_json, print_line},
};
use crate::app::world::World;

/// Tells where everything is, then waits for an interrupt.
pub async fn serve(facts: &impl Serialize, json: bool) -> Exit {
    if json {
        print_json(facts);
    } else if let Ok(serde_json::Value::Object(facts)) = serde_json::to_value(facts) {
        for (key, value) in &facts {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            print_line(&format!("{key:<18} {value}"));
        }
        print_line("Serving until interrupted (Ctrl-C).");
    }
    wait_for_end().await;
    Exit::Passed
}

/// An interrupt, or the end that a service manager asks for.
async fn wait_for_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Commissions every imitated board, one after the other, as a technician would.
pub async fn commission_all(ports: &[String], reset: args::ResetChoice, json: bool, world: Arc<dyn World>) -> Exit {
    for (number, port) in ports.iter().enumerate() {
        let Ok(truck) = format!("T{:03}", number + 1).parse() else { return Exit::Failed };
        let Ok(thing) = format!("truckSensor{:02}", number + 1).parse() else { return Exit::Failed };
        let order = args::Commission {
            line: args::Line { port: port.clone(), reset },
            truck,
            site: args::SiteFile { site: None },
            thing: Some(thing),
            host_key: false,
            calibration: Some("skip".to_owned()),
            relay: args::RelayArg::Auto,
            baud: None,
            ledger: args::LedgerFile { ledger: None },
            json,
        };
        let exit = super::run(args::Command::Commission(order), world.clone()).await;
        if exit != Exit::Passed {
            return exit;
        }
    }
    Exit::Passed
}
