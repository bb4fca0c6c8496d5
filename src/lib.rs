//! Coldbench turns a bare sensor board into a proven member of a refrigerated-truck fleet.
//!
//! # Map
//! - [`domain`]: the vocabulary. Pure: no I/O, clock, async or screen.
//! - [`ports`]: what a job needs from the world, as traits, each with its errors.
//! - [`commission`]: the job: plan, steps, engine, events. Knows ports and nothing else.
//! - [`adapters`]: the only code that names serial ports, flasher, AWS, MQTT, database and files.
//! - [`sandbox`]: an imitated truck board behind a serial line, an AWS IoT look-alike behind HTTP and MQTT.
//! - [`app`]: the core both front ends share: command in, event out.
//! - [`cli`]: the terminal.
//! - [`ui`]: the window.
//! - [`wiring`]: puts the adapters behind the core's world.
//!
//! Imports run one way: `ui, cli → app → commission → ports → domain`; `adapters → ports, domain`;
//! `sandbox → domain` and the two board crates. `tests/layers.rs` holds this.
//!
//! # Invariants
//! 1. The sandbox stands on the other side of a wire: a serial device, HTTP and MQTT.
//! 2. The imitated board runs the board's own code (`firmware/sensor`, `firmware/protocol`).
//! 3. A reading is one JSON string, made once on the board; the same bytes go over USB and MQTT. Time is UTC.
//! 4. Intent is in the ledger before the effect, the result after it.
//! 5. A private key is never in the ledger, a log, an event, JSON output or an error.
//! 6. The tool never uses the board's client id.
//! 7. The screen thread never waits.
//! 8. Every wait has an end, every queue a bound.
//! 9. Cloud resources carry the job that made them.

pub mod adapters;
pub mod app;
pub mod cli;
pub mod commission;
pub mod domain;
pub mod ports;
pub mod sandbox;
pub mod ui;
pub mod wiring;
