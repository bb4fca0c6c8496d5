//! Opens the native window on a core.

use std::{
    sync::{OnceLock, mpsc},
    time::Duration,
};

use eframe::egui::{self, Context};
use time::UtcOffset;
use tokio::runtime::Handle;

use super::app::{Link, Options, Window, native_options};
use crate::{
    app::{
        command::Command,
        core::{Core, CoreHandle, CoreOptions},
        outbox::Updates,
        update::Update,
        world::World,
    },
    domain::Problem,
};

/// Updates that come close together are shown in one frame.
const WAKE_AFTER: Duration = Duration::from_millis(10);

/// What the core takes back in the cloud ends by itself within this.
const CLOSING: Duration = Duration::from_secs(60);
/// Key under which the open screen is kept beside the window's size.
const SCREEN: &str = "screen";

/// Opens the window and returns when it was closed. To be called on the program's first thread, as macOS wants it.
///
/// # Errors
/// `window.open` where there is no display, or no OpenGL.
pub fn open(world: std::sync::Arc<dyn World>, runtime: &Handle, options: Options) -> Result<(), Problem> {
    let runtime = runtime.clone();
    let (alive, ended) = mpsc::channel();
    let opened = eframe::run_native(
        "Coldbench",
        native_options(),
        Box::new(move |creation| {
            let bell = creation.egui_ctx.clone();
            let waker = Box::new(move || bell.request_repaint_after(WAKE_AFTER));
            let options_of_core = CoreOptions { alive: Some(alive), ..CoreOptions::new(waker) };
            let (core, updates) = Core::start(world, &runtime, options_of_core);
            let mut window = Window::new(&creation.egui_ctx, Box::new(CoreLink { core, updates }), options);
            if let Some(name) = creation.storage.and_then(|kept| kept.get_string(SCREEN)) {
                window.open_screen(&name);
            }
            Ok(Box::new(Native(window)))
        }),
    );
    // The window is gone: what its core still takes back in the cloud is waited for, and then no more.
    let _ = ended.recv_timeout(CLOSING);
    opened.map_err(|error| {
        let advice = "Start it on a desktop, or use the terminal: `coldbench --help`";
        Problem::new("window.open", format!("The window could not be opened: {error}"), advice)
    })
}

/// Says why there is no window where nobody looks at a terminal: Windows and macOS start the program without one.
pub fn tell(problem: &Problem) {
    if cfg!(any(windows, target_os = "macos")) {
        let words = format!("{}.\n\n{}. ({})", problem.sentence, problem.advice, problem.code);
        rfd::MessageDialog::new()
            .set_level(rfd::MessageLevel::Error)
            .set_title("Coldbench")
            .set_description(words)
            .show();
    }
}

/// Whether there is a display to open a window on.
pub fn has_display() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

/// This computer's time zone now; UTC where it is not told. To be called before other threads start, because only then
/// may the environment be read safely.
pub fn local_offset() -> UtcOffset {
    static OFFSET: OnceLock<UtcOffset> = OnceLock::new();
    *OFFSET.get_or_init(|| UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC))
}

/// The line to a core in this program.
pub struct CoreLink {
    /// Orders go there.
    pub core: CoreHandle,
    /// Updates come from there.
    pub updates: Updates,
}

impl Link for CoreLink {
    fn order(&mut self, command: Command) -> bool {
        self.core.send(command)
    }

    fn next(&mut self) -> Option<Update> {
        self.updates.try_next()
    }
}

struct Native(Window);

impl eframe::App for Native {
    fn logic(&mut self, context: &Context, _frame: &mut eframe::Frame) {
        self.0.logic(context);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.0.ui(ui);
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        storage.set_string(SCREEN, self.0.screen().to_owned());
    }

    /// Size and place of the window are kept, and its open screen; everything else is in the settings.
    fn persist_egui_memory(&self) -> bool {
        false
    }
}
