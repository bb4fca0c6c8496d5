//! The vocabulary. Pure: no I/O, clock, async or screen.
//!
//! What board and tool share (calibration, settings, raw sensors, network) is re-exported from the board's protocol
//! crate, so that there is one definition of each.

pub mod calibration;
pub mod certificate;
pub mod finding;
pub mod ids;
pub mod image;
pub mod problem;
pub mod reading;
pub mod release;
pub mod shadow;
pub mod site;
pub mod thing;
mod toml_file;

pub use coldbench_protocol::{
    Calibration, DoorPolarity, Hello, Identity, Install, Line, Network, Position, ProbeFault, ProbeRom, RawProbe,
    RawSensors, Settings, Subject, Thresholds,
};
pub use ids::{CertificateId, GroupName, JobId, Mac, PolicyName, ThingName, ThingTypeName, TruckId};
pub use problem::Problem;
pub use reading::Reading;
