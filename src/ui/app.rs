//! The window: takes updates, paints the open screen between its bars, sends what was ordered.
//!
//! [`Window::logic`] changes the state and never paints; [`Window::ui`] paints and never changes it. Neither waits.

use std::time::{Duration, Instant};

use eframe::egui::{self, Context, Frame, Id, Key, Margin, Modifiers, Panel, ScrollArea, Ui, UiBuilder};
use time::{OffsetDateTime, UtcOffset};

use self::bars::PLACES;
use super::{
    screens,
    theme::{self, Themed},
    tokens::{Look, metric},
    view::{Place, Tour, View},
    widgets::{Status, Toasts},
};
use crate::{
    app::{
        command::Command,
        settings::Settings,
        sound::Sound,
        state::{AppState, Weight},
        update::Update,
    },
    commission::events::{Event, JobOutcome},
};

mod asking;
mod bars;

/// How often the readings' screen looks whether a board has fallen silent.
const SILENCE: Duration = Duration::from_secs(5);
/// Time that a frame may spend on updates.
const BUDGET: Duration = Duration::from_millis(10);

/// The line to the core. Neither direction waits.
pub trait Link {
    /// Orders something; `false` when the core has no room for it now.
    fn order(&mut self, command: Command) -> bool;
    /// The next update, if one is there.
    fn next(&mut self) -> Option<Update>;
}

/// What the window is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The boards and the cloud are imitated: a badge says so on every screen.
    pub demo: bool,
    /// The technician's time zone.
    pub local: UtcOffset,
}

/// The window.
pub struct Window {
    link: Box<dyn Link>,
    options: Options,
    state: AppState,
    view: View,
    toasts: Toasts,
    noticed: u64,
    applied: Option<(Look, u32)>,
}

/// How the native window opens: 1366 × 768, not smaller than 1024 × 550.
pub fn native_options() -> eframe::NativeOptions {
    // A picture of ours that cannot be read leaves the toolkit's own.
    let icon = eframe::icon_data::from_png_bytes(include_bytes!("../../assets/app/coldbench.png")).unwrap_or_default();
    let viewport = egui::ViewportBuilder::default()
        .with_icon(icon)
        .with_title("Coldbench")
        .with_app_id("coldbench")
        .with_inner_size([1366.0, 768.0])
        .with_min_inner_size([1024.0, 550.0]);
    eframe::NativeOptions {
        viewport,
        renderer: eframe::Renderer::Glow,
        system_font_fallback: false,
        centered: true,
        ..Default::default()
    }
}

impl Window {
    /// A window on a core. Whoever feeds the link wakes the context after it.
    pub fn new(context: &Context, link: Box<dyn Link>, options: Options) -> Self {
        theme::install(context);
        let mut view = View::default();
        let site = Command::LoadSite { file: None };
        for command in [Command::Refresh, Command::LoadJobs, site, Command::ReadLogin, Command::Doctor] {
            view.order(command);
        }
        if options.demo {
            // The tour leads to PASS without a thermometer in the hand.
            (view.tour, view.calibrate) = (Some(Tour::default()), Some(false));
        }
        let state = AppState::default();
        Window { link, options, state, view, toasts: Toasts::default(), noticed: 0, applied: None }
    }

    /// Name of the open screen, as on the rail.
    pub fn screen(&self) -> &'static str {
        let open = PLACES.iter().find(|(place, ..)| *place == self.view.place);
        open.or(PLACES.first()).map_or("", |(.., name)| name)
    }

    /// Opens a screen by its name on the rail; nothing happens where there is none of that name.
    pub fn open_screen(&mut self, screen: &str) {
        if let Some((place, ..)) = PLACES.iter().find(|(.., name)| *name == screen) {
            self.view.place = *place;
        }
    }

    /// What is shown.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Sends what was ordered, takes what is new. Never paints.
    pub fn logic(&mut self, context: &Context) {
        for command in std::mem::take(&mut self.view.orders) {
            if let Command::SaveSettings { settings } = &command {
                // The window follows at once; the core keeps it.
                self.state.settings = Some(settings.clone());
            }
            if !self.link.order(command) {
                self.toasts.push(context, Status::Fail, "Too much is asked at once. Try it again in a moment.");
            }
        }
        let began = Instant::now();
        while let Some(update) = self.link.next() {
            self.view.hear(&update);
            let ended = ended_at(&update);
            self.state.apply(update);
            if let Some(port) = ended {
                self.sound(&port);
            }
            if began.elapsed() > BUDGET {
                context.request_repaint();
                break;
            }
        }
        self.notice(context);
        self.dress(context);
    }

    /// Paints. Changes nothing but what the window itself remembers.
    pub fn ui(&mut self, ui: &mut Ui) {
        self.keys(ui);
        self.top_bar(ui);
        self.rail(ui);
        let bar = screens::bar(&self.state, &self.view);
        let entered = self.entered(ui);
        self.action_bar(ui, &bar);
        self.beside(ui);
        let frame = Frame::new().fill(ui.palette().canvas).inner_margin(Margin::same(16));
        egui::CentralPanel::no_frame().frame(frame).show(ui, |ui| {
            // Of its own, so that a panel that opens beside the screen takes the keyboard from no field.
            let screen = UiBuilder::new().scope_id(Id::unique("screen"));
            ui.scope_builder(screen, |ui| screens::show(ui, &self.state, &mut self.view));
        });
        if entered {
            // Made anew: a scanner's Enter comes with its last letters, which the field has only now.
            let primary = screens::bar(&self.state, &self.view).primary;
            primary.and_then(|primary| primary.deed).into_iter().for_each(|deed| self.view.act(deed));
        }
        self.ask(ui.ctx());
        self.toasts.show(ui.ctx());
        self.wake_later(ui.ctx());
    }

    /// Lets the end of a job be heard. An undone one has no verdict.
    fn sound(&mut self, port: &str) {
        let run = self.state.stations.get(port).and_then(|station| station.run.as_ref());
        let ended = run.filter(|run| !run.is_undone()).and_then(|run| run.ended.as_ref());
        let sound = match ended.map(|ended| ended.outcome) {
            Some(JobOutcome::Passed) => Sound::Pass,
            Some(JobOutcome::Failed) => Sound::Fail,
            Some(JobOutcome::Cancelled) | None => return,
        };
        if self.settings().sound {
            self.view.order(Command::Play { sound });
        }
    }

    /// Shows what was told since the last frame.
    fn notice(&mut self, context: &Context) {
        let new = usize::try_from(self.state.notice_count - self.noticed).unwrap_or(usize::MAX);
        self.noticed = self.state.notice_count;
        let first = self.state.notices.len().saturating_sub(new);
        for notice in self.state.notices.iter().skip(first) {
            let status = match notice.weight {
                Weight::Info => continue,
                Weight::Done => Status::Pass,
                Weight::Failed => Status::Fail,
            };
            let advice = notice.problem.as_ref().map_or_else(String::new, |problem| format!(". {}", problem.advice));
            self.toasts.push(context, status, format!("{}{advice}", notice.text));
        }
    }

    /// Follows the settings.
    fn dress(&mut self, context: &Context) {
        let settings = self.settings();
        let gloves = if settings.gloves { metric::GLOVE_PERCENT } else { 100 };
        let wanted = (settings.theme, u32::from(settings.zoom_percent).max(gloves));
        if self.applied != Some(wanted) {
            theme::apply(context, wanted.0);
            theme::set_zoom_percent(context, wanted.1);
            self.applied = Some(wanted);
        }
    }

    fn settings(&self) -> Settings {
        self.state.settings.clone().unwrap_or_default()
    }

    /// Times on the screen run on while a job runs; otherwise next to nothing asks for a frame.
    fn wake_later(&self, context: &Context) {
        let runs = self.state.stations.values().any(|station| station.is_busy());
        if !self.view.orders.is_empty() {
            context.request_repaint();
        } else if runs {
            context.request_repaint_after(Duration::from_secs(1));
        } else if self.view.place == Place::Live && !self.state.stations.is_empty() {
            // A reading brings its own frame; one that does not come must be told.
            context.request_repaint_after(SILENCE);
        } else {
            // The clock of the top bar shows minutes.
            let secs_left = 60 - u64::from(OffsetDateTime::now_utc().second());
            context.request_repaint_after(Duration::from_secs(secs_left.max(1)));
        }
    }

    fn keys(&mut self, ui: &mut Ui) {
        let step = ui.input_mut(|input| {
            let larger =
                input.consume_key(Modifiers::COMMAND, Key::Plus) || input.consume_key(Modifiers::COMMAND, Key::Equals);
            let smaller = input.consume_key(Modifiers::COMMAND, Key::Minus);
            larger.then_some(true).or(smaller.then_some(false))
        });
        if let Some(larger) = step {
            let mut settings = self.settings();
            let next = theme::zoom_step(u32::from(settings.zoom_percent), larger);
            settings.zoom_percent = u16::try_from(next).unwrap_or(settings.zoom_percent);
            self.view.order(Command::SaveSettings { settings });
        }
        if self.view.is_asking() {
            return;
        }
        let stations = [Key::F5, Key::F6, Key::F7, Key::F8];
        let pressed = ui.input(|input| stations.into_iter().position(|key| input.key_pressed(key)));
        if let Some(port) = pressed.and_then(|index| self.state.stations.keys().nth(index)) {
            let has_run = self.state.stations.get(port).is_some_and(|station| station.run.is_some());
            self.view.port = Some(port.clone());
            self.view.place = if has_run { Place::Run } else { Place::Stations };
        }
        if ui.input(|input| input.key_pressed(Key::F1)) {
            self.view.place = Place::Check;
        }
        if ui.input(|input| input.key_pressed(Key::Escape)) {
            self.view.place = Place::Stations;
        }
    }

    /// Beside the screen, above the action bar, so that they cover nothing: the tour, and the demo's truck when a hand
    /// is needed there.
    fn beside(&mut self, ui: &mut Ui) {
        let truck =
            screens::truck::port(&self.state, &self.view).and_then(|port| self.state.trucks.get_key_value(port));
        let is_needed = self.view.tour.is_some() || truck.is_some();
        if !is_needed || !matches!(self.view.place, Place::Stations | Place::Run) {
            return;
        }
        let frame = Frame::new().fill(ui.palette().raised).inner_margin(Margin::same(16));
        Panel::right("beside").exact_size(screens::tour::WIDTH).resizable(false).frame(frame).show(ui, |ui| {
            ScrollArea::vertical().id_salt("beside").auto_shrink(false).show(ui, |ui| {
                if self.view.tour.is_some() {
                    screens::tour::show(ui, &self.state, &mut self.view);
                }
                if let Some((port, truck)) = truck {
                    screens::truck::show(ui, port, truck, &mut self.view);
                }
            });
        });
    }

    /// Enter is the primary action, unless the keyboard is on another button or a dialog is open. A text field gives
    /// it on, except the truck's, where a scanner's Enter must not start a job by itself.
    fn entered(&self, ui: &Ui) -> bool {
        let focused = ui.memory(|memory| memory.focused()).is_some();
        let typing = ui.ctx().text_edit_focused();
        let free = !focused || typing && self.view.place != Place::Stations && self.view.place != Place::Site;
        free && !self.view.is_asking() && ui.input(|input| input.key_pressed(Key::Enter))
    }
}

/// Where a job at a board has ended with this update.
fn ended_at(update: &Update) -> Option<String> {
    match update {
        Update::Job { port: Some(port), event: Event::Finished { .. }, .. } => Some(port.clone()),
        _ => None,
    }
}

impl eframe::App for Window {
    fn logic(&mut self, context: &Context, _frame: &mut eframe::Frame) {
        Window::logic(self, context);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        Window::ui(self, ui);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test states what it expects")]
mod looks;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests;
