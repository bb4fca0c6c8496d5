//! Windows only lists a serial bridge once its driver is installed. What is plugged in without one is found in what
//! `pnputil` (part of Windows 10 and later) says of the connected devices.

use std::time::Duration;

use tokio::{process::Command, time::timeout};

use crate::domain::finding::Finding;

/// How long the system's tool may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Windows' class of serial ports; unlike its name it is not translated.
const PORTS_CLASS: &str = "{4d36e978-e325-11ce-bfc1-08002be10318}";
/// Bridges that need a driver of their maker, as in a device's instance id.
const BRIDGES: [(&str, &str, &str); 3] = [
    (r"USB\VID_10C4&PID_EA60", "CP210x bridge", "Install Silicon Labs' CP210x VCP driver"),
    (r"USB\VID_1A86&PID_7523", "CH340 bridge", "Install WCH's CH341SER driver"),
    (r"USB\VID_1A86&PID_55D3", "CH343 bridge", "Install WCH's CH343SER driver"),
];

/// Boards that are plugged in and cannot be used because their driver is missing. Empty where the system does not tell.
pub(super) async fn missing() -> Vec<Finding> {
    let mut listing = Command::new("pnputil");
    listing.args(["/enum-devices", "/connected"]).kill_on_drop(true);
    // Without a console window of its own.
    #[cfg(windows)]
    listing.creation_flags(0x0800_0000);
    match timeout(PATIENCE, listing.output()).await {
        Ok(Ok(output)) => without_driver(&String::from_utf8_lossy(&output.stdout)),
        _ => Vec::new(),
    }
}

/// Devices are told in blocks that an empty line parts. Words in them are translated; ids are not.
fn without_driver(listing: &str) -> Vec<Finding> {
    let listing = listing.replace('\r', "").to_ascii_uppercase();
    let driverless = |id: &str| {
        listing.split("\n\n").any(|block| block.contains(id) && !block.contains(&PORTS_CLASS.to_ascii_uppercase()))
    };
    BRIDGES
        .iter()
        .filter(|(id, ..)| driverless(id))
        .map(|(_, name, advice)| {
            let advice = format!("{advice}, or let Windows Update look for it, then plug the board in again");
            Finding::warning("driver", format!("A {name} is plugged in, but Windows has no driver for it"), advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "Microsoft PnP Utility\r\n\r\n\
        Instance ID:                USB\\VID_10C4&PID_EA60\\0001\r\nDevice Description:         CP2102 USB to UART\r\n\
        Class Name:                 Unknown\r\nStatus:                     Problem\r\n\r\n\
        Instance ID:                USB\\VID_1A86&PID_7523\\5&1\r\nClass Name:                 Ports\r\n\
        Class GUID:                 {4d36e978-e325-11ce-bfc1-08002be10318}\r\nStatus:                     Started\r\n";

    #[test]
    fn a_bridge_without_the_class_of_ports_has_no_driver() {
        let found = without_driver(LISTING);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].found.contains("CP210x"), "{found:?}");
        assert!(found[0].advice.contains("Silicon Labs"), "{found:?}");
    }

    #[test]
    fn nothing_said_is_nothing_found() {
        assert_eq!(without_driver(""), []);
    }
}
