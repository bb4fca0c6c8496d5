//! The serial ports of the computer, found without opening one: opening raises the reset wires of many boards.

use std::{fs, path::Path};

use serialport::{SerialPortInfo, SerialPortType, UsbPortInfo};

use crate::ports::board::{Access, PortInfo};

/// Every port that the operating system lists, and those `named` besides.
pub(super) fn ports(named: &[String]) -> Vec<PortInfo> {
    let mut listed = serialport::available_ports().unwrap_or_else(|error| {
        tracing::warn!(%error, "the operating system lists no ports");
        Vec::new()
    });
    // Ports with a USB device first: among them is the board.
    listed.sort_by_key(|info| (!matches!(info.port_type, SerialPortType::UsbPort(_)), info.port_name.clone()));
    for name in named {
        if !listed.iter().any(|info| same_device(&info.port_name, name)) {
            listed.push(SerialPortInfo { port_name: name.clone(), port_type: SerialPortType::Unknown });
        }
    }
    listed.into_iter().map(describe).collect()
}

/// What the USB device behind a port says of itself; zeros where there is none.
pub(super) fn usb_info(name: &str) -> UsbPortInfo {
    let listed = serialport::available_ports().unwrap_or_default();
    let usb = listed.into_iter().find_map(|info| match info.port_type {
        SerialPortType::UsbPort(usb) if same_device(&info.port_name, name) => Some(usb),
        _ => None,
    });
    usb.unwrap_or(UsbPortInfo { vid: 0, pid: 0, serial_number: None, manufacturer: None, product: None })
}

fn describe(info: SerialPortInfo) -> PortInfo {
    let usb = match info.port_type {
        SerialPortType::UsbPort(usb) => Some(usb),
        _ => None,
    };
    let (access, advice) = access(&info.port_name);
    PortInfo {
        guess: usb.as_ref().map(|usb| guess(usb.vid, usb.pid)).unwrap_or_default().to_owned(),
        usb_id: usb.as_ref().map(|usb| format!("{:04x}:{:04x}", usb.vid, usb.pid)),
        usb_serial: usb.and_then(|usb| usb.serial_number),
        port: info.port_name,
        access,
        advice,
    }
}

/// What is behind a USB id.
fn guess(vid: u16, pid: u16) -> &'static str {
    match (vid, pid) {
        (0x303A, 0x1001) => "ESP32-C3 (USB)",
        (0x303A, _) => "Espressif device",
        (0x10C4, 0xEA60) => "CP210x bridge",
        (0x1A86, 0x7523) => "CH340 bridge",
        (0x1A86, 0x55D3) => "CH343 bridge",
        (0x0403, 0x6001 | 0x6010 | 0x6015) => "FTDI bridge",
        _ => "",
    }
}

/// Links such as `/dev/serial/by-id/…` name the same device.
fn same_device(one: &str, other: &str) -> bool {
    one == other || fs::canonicalize(one).is_ok_and(|path| fs::canonicalize(other).is_ok_and(|other| other == path))
}

#[cfg(unix)]
fn access(name: &str) -> (Access, String) {
    use nix::unistd::{AccessFlags, access};

    let Ok(device) = fs::canonicalize(name) else {
        return (Access::Unavailable, "Plug the board in again".into());
    };
    if access(&device, AccessFlags::R_OK | AccessFlags::W_OK).is_err() {
        return (Access::NoPermission, permission_advice(&device));
    }
    match holder(&device) {
        Some(holder) => (Access::Busy, format!("It is in use by {holder}: close that first")),
        None => (Access::Ok, String::new()),
    }
}

/// Elsewhere only opening tells.
#[cfg(not(unix))]
fn access(_name: &str) -> (Access, String) {
    (Access::Ok, String::new())
}

/// The one command that lets the user open the device: joining the group that owns it.
#[cfg(unix)]
fn permission_advice(device: &Path) -> String {
    use std::os::unix::fs::MetadataExt;

    let group = fs::metadata(device).ok().and_then(|data| group_name(data.gid()));
    match group.as_deref() {
        Some("root") | None => "Install the udev rule of the package, then plug the board in again".into(),
        Some(group) => format!("Run `sudo usermod -aG {group} $USER` and log in again"),
    }
}

#[cfg(unix)]
fn group_name(gid: u32) -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == gid.to_string()).then(|| name.to_owned())
    })
}

/// The program that has the device open, where the system tells (Linux, and there for the user's own programs).
#[cfg(unix)]
fn holder(device: &Path) -> Option<String> {
    if device.starts_with("/dev/pts") {
        return lock_holder(device);
    }
    // This program first: it holds the boards that it watches, and the list is read every moment.
    if has_open(Path::new("/proc/self"), device) {
        return Some("this program".into());
    }
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let id = process.file_name().to_string_lossy().into_owned();
        if id.bytes().all(|byte| byte.is_ascii_digit()) && has_open(&process.path(), device) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", name.trim()));
        }
    }
    None
}

/// Whether a process, named by its folder in `/proc`, has the device open; `false` where that is not told.
#[cfg(unix)]
fn has_open(process: &Path, device: &Path) -> bool {
    let is_device = |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|path| path == device);
    fs::read_dir(process.join("fd")).is_ok_and(|open| open.flatten().any(is_device))
}

/// Who holds the lock on a pseudo-terminal. Whoever made it may keep it open without using it, so that is no sign.
#[cfg(unix)]
fn lock_holder(device: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let inode = format!(":{}", fs::metadata(device).ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 4711 00:1a:5 0 EOF`
        let fields: Vec<&str> = line.split_whitespace().collect();
        let held = fields.get(1) == Some(&"FLOCK") && fields.get(5).is_some_and(|place| place.ends_with(&inode));
        let process = fields.get(4)?;
        held.then(|| format!("process {process}"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn usb_ids_are_guessed() {
        assert_eq!(guess(0x303A, 0x1001), "ESP32-C3 (USB)");
        assert_eq!(guess(0x10C4, 0xEA60), "CP210x bridge");
        assert_eq!(guess(0x1234, 0x5678), "");
    }

    #[test]
    fn a_named_port_that_is_missing_is_listed_as_such() {
        let found = ports(&["/nonexistent/ttyUSB9".to_owned()]);
        let port = found.iter().find(|info| info.port == "/nonexistent/ttyUSB9").unwrap();
        assert_eq!(port.usb_id, None);
        assert_eq!(port.access, if cfg!(unix) { Access::Unavailable } else { Access::Ok });
    }
}
