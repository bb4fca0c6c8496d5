//! The serial ports of the computer, found without opening one: opening raises the reset wires of many boards.

#[cfg(unix)]
use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};
use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use serialport::{SerialPortInfo, SerialPortType, UsbPortInfo};

use crate::ports::board::{Access, PortInfo};

/// What the operating system listed last. Listing reads some hundred files, so it is done anew only when a device node
/// came or went, which changes the time of their folder.
#[derive(Debug, Default)]
pub(super) struct Listed {
    last: Mutex<Option<(SystemTime, Vec<SerialPortInfo>)>>,
}

impl Listed {
    fn now(&self) -> Vec<SerialPortInfo> {
        let changed = fs::metadata("/dev").and_then(|folder| folder.modified()).ok();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((at, ports)), Some(changed)) = (&*last, changed)
            && *at == changed
        {
            return ports.clone();
        }
        let ports = available();
        *last = changed.map(|changed| (changed, ports.clone()));
        ports
    }
}

/// Every port that the operating system lists, and those `named` besides.
pub(super) fn ports(listed: &Listed, named: &[String]) -> Vec<PortInfo> {
    let mut listed = listed.now();
    // Ports with a USB device first: among them is the board.
    listed.sort_by_key(|info| (!matches!(info.port_type, SerialPortType::UsbPort(_)), info.port_name.clone()));
    for name in named {
        if !listed.iter().any(|info| same_device(&info.port_name, name)) {
            listed.push(SerialPortInfo { port_name: name.clone(), port_type: SerialPortType::Unknown });
        }
    }
    let holders = Holders::default();
    listed.into_iter().map(|info| describe(info, &holders)).collect()
}

/// What the operating system lists. A Linux without `/sys`, as in some containers, lists nothing; the library that asks
/// does not expect it.
fn available() -> Vec<SerialPortInfo> {
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").exists() {
        return Vec::new();
    }
    serialport::available_ports().unwrap_or_else(|error| {
        tracing::warn!(%error, "the operating system lists no ports");
        Vec::new()
    })
}

/// What the USB device behind a port says of itself; zeros where there is none.
pub(super) fn usb_info(name: &str) -> UsbPortInfo {
    let usb = available().into_iter().find_map(|info| match info.port_type {
        SerialPortType::UsbPort(usb) if same_device(&info.port_name, name) => Some(usb),
        _ => None,
    });
    usb.unwrap_or(UsbPortInfo { vid: 0, pid: 0, serial_number: None, manufacturer: None, product: None })
}

fn describe(info: SerialPortInfo, holders: &Holders) -> PortInfo {
    let usb = match info.port_type {
        SerialPortType::UsbPort(usb) => Some(usb),
        _ => None,
    };
    let (access, advice) = access(&info.port_name, holders);
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
fn access(name: &str, holders: &Holders) -> (Access, String) {
    use nix::unistd::{AccessFlags, access};

    let Ok(device) = fs::canonicalize(name) else {
        return (Access::Unavailable, "Plug the board in again".into());
    };
    if access(&device, AccessFlags::R_OK | AccessFlags::W_OK).is_err() {
        return (Access::NoPermission, permission_advice(&device));
    }
    match holders.of(&device) {
        Some(holder) => (Access::Busy, format!("It is in use by {holder}: close that first")),
        None => (Access::Ok, String::new()),
    }
}

/// Elsewhere only opening tells.
#[cfg(not(unix))]
fn access(_name: &str, _holders: &Holders) -> (Access, String) {
    (Access::Ok, String::new())
}

/// The rule that packages install; whoever sits at the computer may then open a board's port.
#[cfg(unix)]
const RULE: &str = "70-coldbench.rules";

/// The one command that lets the user open the device: installing the rule, or where it is installed and does not reach
/// (over a network, or for another kind of port) joining the group that owns the device.
#[cfg(unix)]
fn permission_advice(device: &Path) -> String {
    use std::os::unix::fs::MetadataExt;

    let folders = ["/etc/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];
    let has_rule = folders.iter().any(|folder| Path::new(folder).join(RULE).exists());
    if cfg!(target_os = "linux") && !has_rule {
        let program =
            std::env::current_exe().map_or_else(|_| "coldbench".to_owned(), |path| path.display().to_string());
        return format!(
            "Run `{program} udev-rule | sudo tee /etc/udev/rules.d/{RULE}`, then unplug the board and plug it in again"
        );
    }
    let group = fs::metadata(device).ok().and_then(|data| group_name(data.gid()));
    match group.as_deref() {
        Some("root") | None => "Unplug the board and plug it in again".into(),
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

/// Which programs have terminals open, where the system tells (Linux, and there for the user's own programs). The list is
/// read every moment, so that everything is looked at once for all ports, and only when it is needed.
#[derive(Default)]
struct Holders {
    #[cfg(unix)]
    own: OnceCell<BTreeSet<PathBuf>>,
    #[cfg(unix)]
    others: OnceCell<BTreeMap<PathBuf, String>>,
}

#[cfg(unix)]
impl Holders {
    fn of(&self, device: &Path) -> Option<String> {
        if device.starts_with("/dev/pts") {
            return lock_holder(device);
        }
        // Boards that are watched are held by this program: then nobody else's files need to be looked through.
        if self.own.get_or_init(|| open_devices(Path::new("/proc/self")).collect()).contains(device) {
            return Some("this program".into());
        }
        self.others.get_or_init(others_lately).get(device).cloned()
    }
}

/// How long what other programs have open is taken for true: looking through all of them is most of what an idle program
/// would do.
#[cfg(unix)]
const OTHERS_EVERY: Duration = Duration::from_secs(5);

/// Devices that other programs had open lately.
#[cfg(unix)]
fn others_lately() -> BTreeMap<PathBuf, String> {
    static LAST: Mutex<Option<(Instant, BTreeMap<PathBuf, String>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some((at, found)) if at.elapsed() < OTHERS_EVERY => found.clone(),
        _ => last.insert((Instant::now(), others())).1.clone(),
    }
}

/// Devices that other programs have open, with the program.
#[cfg(unix)]
fn others() -> BTreeMap<PathBuf, String> {
    let mut holders = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = process.file_name().to_string_lossy().into_owned();
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        for device in open_devices(&process.path()) {
            holders.entry(device).or_insert_with(|| {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                format!("{} (process {id})", name.trim())
            });
        }
    }
    holders
}

/// Devices that a process, named by its folder in `/proc`, has open.
#[cfg(unix)]
fn open_devices(process: &Path) -> impl Iterator<Item = PathBuf> {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| target.starts_with("/dev") && !target.starts_with("/dev/pts"))
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

    #[cfg(target_os = "linux")]
    #[test]
    fn who_holds_a_device_is_told() {
        let _held = fs::File::open("/dev/zero").unwrap();
        assert_eq!(Holders::default().of(Path::new("/dev/zero")).as_deref(), Some("this program"));
        let found = others().remove(Path::new("/dev/zero")).unwrap();
        assert!(found.contains("(process "), "{found}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_that_may_not_be_opened_comes_with_the_command_that_mends_it() {
        let advice = permission_advice(Path::new("/dev/null"));
        let told = advice.contains(&format!("udev-rule | sudo tee /etc/udev/rules.d/{RULE}"));
        let installed = advice.contains("usermod") || advice.contains("plug it in again");
        assert!(told || installed, "{advice}");
    }

    #[test]
    fn a_named_port_that_is_missing_is_listed_as_such() {
        let found = ports(&Listed::default(), &["/nonexistent/ttyUSB9".to_owned()]);
        let port = found.iter().find(|info| info.port == "/nonexistent/ttyUSB9").unwrap();
        assert_eq!(port.usb_id, None);
        assert_eq!(port.access, if cfg!(unix) { Access::Unavailable } else { Access::Ok });
    }
}
