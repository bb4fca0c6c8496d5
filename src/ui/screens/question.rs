//! What a job asks while it calibrates, one question a screen, with what the sensors say meanwhile.

use eframe::egui::{Align, Layout, Sense, Ui, vec2};

use crate::{
    app::{
        command::Command,
        run::Run,
        sensing::{KEPT_SECS, Sensing},
        state::AppState,
        station::Station,
    },
    commission::events::Steadiness,
    domain::calibration::{Fit, FitError, TemperaturePoint, Tolerances, VoltagePoint, fit_freezer, fit_supply},
    ports::operator::{Question, Reply},
    ui::{
        icons::Icon,
        text,
        theme::Themed,
        tokens::Type,
        view::{Action, Deed, View},
        widgets::{self, Button, Field, Status, SteadyPlot, card, chip, note, say, say_in},
    },
};

/// Height of the probe on its way to being steady, pt.
const STEADY_HEIGHT: f32 = 180.0;
/// Bounces of the door's contact at one move that are usual.
const USUAL_BOUNCES: u32 = 20;

/// The answer that the primary button gives.
pub(super) fn action(question: &Question, run: &Run, view: &View, port: &str) -> Action {
    let answer = |reply| Deed::Order(Command::Answer { port: port.to_owned(), reply });
    let typed = view.answer(port);
    match question {
        Question::FreezerProbe { probes } => {
            match probes.iter().find(|(rom, _)| Some(rom.as_str()) == chosen_probe(run, typed)) {
                Some((rom, _)) => Action::open("Use this probe", answer(Reply::Text(rom.clone()))),
                None => Action::shut("Use this probe"),
            }
        }
        Question::FreezerReference { .. } if !is_steady(&run.sensing) => Action::shut("Capture"),
        Question::FreezerReference { .. } | Question::SupplyReference { .. } => {
            match number(typed)
                .filter(|value| Trial::of(question, &run.sensing, *value).is_none_or(|trial| trial.fits()))
            {
                Some(value) => Action::open("Capture", answer(Reply::Number(value))),
                None => Action::shut("Capture"),
            }
        }
        Question::OpenDoor => Action::open("It is open", answer(Reply::Yes)),
        // The switch must be seen to move; a stuck one is mended or left out.
        Question::CloseDoor if run.sensing.door_moved() == Some(false) => Action::shut("It is closed"),
        Question::CloseDoor => Action::open("It is closed", answer(Reply::Yes)),
        Question::Serial { last, .. } => {
            let serial = if typed.is_empty() { last.as_str() } else { typed };
            match serial.is_empty() {
                true => Action::shut("Go on"),
                false => Action::open("Go on", answer(Reply::Text(serial.to_owned()))),
            }
        }
    }
}

/// How things stand, or why the primary button is not open.
pub(super) fn sentence(question: &Question, run: &Run, view: &View, port: &str) -> String {
    let typed = view.answer(port);
    let trial = number(typed).and_then(|value| Trial::of(question, &run.sensing, value));
    let words = match question {
        Question::FreezerProbe { .. } if chosen_probe(run, typed).is_none() => {
            "Choose the probe that is in the freezer"
        }
        Question::FreezerReference { .. } if !is_steady(&run.sensing) => "Capture opens when the probe is steady",
        Question::FreezerReference { .. } if number(typed).is_none() => "Type what the thermometer shows",
        Question::FreezerReference { .. } | Question::SupplyReference { .. }
            if trial.as_ref().is_some_and(|trial| !trial.fits()) =>
        {
            "These two values do not belong together"
        }
        Question::FreezerReference { .. } => "The probe is steady. Capture takes both values.",
        Question::SupplyReference { .. } if number(typed).is_none() => "Type what the multimeter shows",
        Question::CloseDoor if run.sensing.door_moved() == Some(false) => "Waits until the door switch moves",
        Question::Serial { last, .. } if typed.is_empty() && last.is_empty() => "Type the serial number",
        _ => "The job waits for your answer",
    };
    words.to_owned()
}

/// The probe that was pressed, else the one that is held in a hand.
fn chosen_probe<'a>(run: &'a Run, pressed: &'a str) -> Option<&'a str> {
    (!pressed.is_empty()).then_some(pressed).or_else(|| run.sensing.held_in_hand())
}

fn is_steady(sensing: &Sensing) -> bool {
    sensing.steadiness().is_some_and(|steadiness| steadiness.is_steady)
}

/// What a typed reference would make of the calibration.
struct Trial {
    fit: Result<Fit, FitError>,
    differs: f64,
    limit: fn(&Tolerances) -> f64,
    unit: &'static str,
}

impl Trial {
    /// `None` while the board says nothing to compare with.
    fn of(question: &Question, sensing: &Sensing, reference: f64) -> Option<Self> {
        match question {
            Question::FreezerReference { taken, .. } => {
                let raw = sensing.probe(&sensing.steadiness()?.probe)?.celsius?;
                let point = TemperaturePoint { reference_celsius: reference, raw_celsius: Some(raw) };
                let points: Vec<_> = taken.iter().copied().chain([point]).collect();
                let limit = |tolerances: &Tolerances| tolerances.freezer_celsius;
                Some(Trial { fit: fit_freezer(&points), differs: reference - raw, limit, unit: "°C" })
            }
            Question::SupplyReference { taken, .. } => {
                let raw = sensing.last()?.supply_volts?;
                let point = VoltagePoint { reference_volts: reference, raw_volts: Some(raw) };
                let points: Vec<_> = taken.iter().copied().chain([point]).collect();
                let limit = |tolerances: &Tolerances| tolerances.supply_volts;
                Some(Trial { fit: fit_supply(&points), differs: reference - raw, limit, unit: "V" })
            }
            _ => None,
        }
    }

    fn fits(&self) -> bool {
        self.fit.is_ok()
    }

    fn show(&self, ui: &mut Ui, tolerances: &Tolerances) {
        match &self.fit {
            Ok(fit) => {
                let (limit, worst) = ((self.limit)(tolerances), f64::from(fit.worst_residual()));
                let [differs, worst_text, limit_text] =
                    [self.differs, worst, limit].map(|value| text::number(Some(value), 2));
                let unit = self.unit;
                let words = format!(
                    "Differs by {differs} {unit} now. Residual {worst_text} {unit}, at most {limit_text} {unit}"
                );
                let (status, word) = if worst <= limit {
                    (Status::Pass, "Within tolerance")
                } else {
                    (Status::Warn, "Out of tolerance")
                };
                ui.horizontal(|ui| {
                    chip(ui, status, word);
                    note(ui, words);
                });
            }
            Err(error) => drop(widgets::banner(ui, Status::Warn, &format!("Cannot be taken: {error}"), None)),
        }
    }
}

/// A number as people type it, with a point or a comma.
fn number(typed: &str) -> Option<f64> {
    let plain = typed.replace(',', ".").replace('\u{2212}', "-");
    plain.parse::<f64>().ok().filter(|number| number.is_finite())
}

pub(super) fn show(
    ui: &mut Ui,
    question: &Question,
    (state, station, run): (&AppState, &Station, &Run),
    view: &mut View,
) {
    let tolerances = state.site.as_ref().map(|site| site.site.tolerances).unwrap_or_default();
    let (sensing, port) = (&run.sensing, station.port.port.as_str());
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        match question {
            Question::FreezerProbe { probes } => probes_ui(ui, probes, run, (view, port)),
            Question::FreezerReference { point, taken, refused, .. } => {
                say(ui, Type::H2, format!("Temperature, point {point} of 2"));
                note(ui, "Hold thermometer and probe together. Type what it shows once the probe is steady.");
                refused_ui(ui, refused.as_deref());
                let points = taken.iter().map(|taken| (taken.reference_celsius, taken.raw_celsius, "°C"));
                taken_ui(ui, points, (view, port));
                steady_ui(ui, sensing);
                value_field(ui, question, ("Thermometer, °C", "-20.3"), (sensing, &tolerances), (view, port));
            }
            Question::SupplyReference { point, raw_volts, taken, refused } => {
                say(ui, Type::H2, format!("Voltage, point {point} of 2"));
                note(ui, "Hold the multimeter to the freezer unit. Type what it shows.");
                refused_ui(ui, refused.as_deref());
                let points = taken.iter().map(|taken| (taken.reference_volts, taken.raw_volts, "V"));
                taken_ui(ui, points, (view, port));
                let raw = sensing.last().map_or(Some(*raw_volts), |sensed| sensed.supply_volts);
                big_value(ui, "The board says", text::number(raw, 2), "V");
                value_field(ui, question, ("Multimeter, V", "12.6"), (sensing, &tolerances), (view, port));
            }
            Question::OpenDoor => {
                door(ui, sensing, "Open the freezer door", Icon::DoorOpen, false);
                leave_out(ui, (view, port));
            }
            Question::CloseDoor => {
                door(ui, sensing, "Close the freezer door", Icon::DoorClosed, true);
                leave_out(ui, (view, port));
            }
            Question::Serial { instrument, last } => {
                say(ui, Type::H2, format!("Which {instrument} do you use?"));
                note(ui, "Its serial number goes into the record");
                let hint = if last.is_empty() { "Serial number" } else { last.as_str() };
                field(ui, "Serial number", hint, None, (view, port));
                if !last.is_empty() {
                    note(ui, format!("Leave it empty to use {last} again"));
                }
            }
        }
    });
}

/// Why the last answer was not taken.
fn refused_ui(ui: &mut Ui, refused: Option<&str>) {
    if let Some(why) = refused {
        widgets::banner(ui, Status::Warn, &format!("Not taken: {why}"), None);
    }
}

/// The points that were taken: reference, what the board said, unit. The last one can be taken again.
fn taken_ui(
    ui: &mut Ui,
    points: impl ExactSizeIterator<Item = (f64, Option<f64>, &'static str)>,
    (view, port): (&mut View, &str),
) {
    let count = points.len();
    for (number, (reference, raw, unit)) in points.enumerate() {
        ui.horizontal(|ui| {
            chip(ui, Status::Pass, &format!("Point {}", number + 1));
            let [reference, raw] = [Some(reference), raw].map(|value| text::number(value, 2));
            note(ui, format!("Reference {reference} {unit}, board {raw} {unit}"));
            if number + 1 == count && ui.add(Button::ghost("Take it again").icon(Icon::RotateCcw)).clicked() {
                view.order(Command::Answer { port: port.to_owned(), reply: Reply::Back });
            }
        });
    }
}

/// One row a probe: choose, see what it says, see which one is in the hand.
fn probes_ui(ui: &mut Ui, probes: &[(String, Option<f64>)], run: &Run, (view, port): (&mut View, &str)) {
    say(ui, Type::H2, "Which probe is in the freezer?");
    note(ui, "Warm the freezer's probe in your hand. The one that gets warmer is marked.");
    let sensing = &run.sensing;
    let held = sensing.held_in_hand();
    let chosen_rom = chosen_probe(run, view.answer(port)).map(str::to_owned);
    for (rom, asked_celsius) in probes {
        let chosen = chosen_rom.as_deref() == Some(rom);
        let now = sensing.probe(rom);
        let celsius = now.map_or(*asked_celsius, |probe| probe.celsius);
        ui.horizontal(|ui| {
            let icon = if chosen { Icon::CircleDot } else { Icon::Circle };
            if ui.add(Button::secondary(rom).icon(icon).width(250.0)).clicked() {
                view.answers.insert(port.to_owned(), rom.clone());
            }
            say(ui, Type::Serial, text::celsius(celsius));
            if let Some(fault) = now.and_then(|probe| probe.fault.as_ref()) {
                chip(ui, Status::Fail, fault);
            } else if held == Some(rom) {
                chip(ui, Status::NeedsYou, "In your hand");
            }
            if let Some(warmed) = sensing.warmed_by(rom).filter(|warmed| warmed.abs() >= 0.1) {
                let sign = if warmed > 0.0 { "+" } else { "" };
                note(ui, format!("{sign}{} °C", text::number(Some(warmed), 1)));
            }
        });
    }
}

/// The probe on its way to being steady.
fn steady_ui(ui: &mut Ui, sensing: &Sensing) {
    let Some(steadiness) = sensing.steadiness() else {
        // As high as what comes, so that nothing jumps under the mouse.
        ui.allocate_ui_with_layout(vec2(ui.available_width(), STEADY_HEIGHT), Layout::top_down(Align::Min), |ui| {
            ui.set_min_height(STEADY_HEIGHT);
            note(ui, "Looking at the probe…");
        });
        return;
    };
    let probe = sensing.probe(&steadiness.probe);
    let celsius = probe.and_then(|probe| probe.celsius);
    ui.horizontal_top(|ui| {
        ui.allocate_ui_with_layout(vec2(270.0, STEADY_HEIGHT), Layout::top_down(Align::Min), |ui| {
            ui.set_min_height(STEADY_HEIGHT);
            ui.spacing_mut().item_spacing.y = 4.0;
            big_value(ui, "The probe says", text::number(celsius, 2), "°C");
            match probe.and_then(|probe| probe.fault.as_ref()) {
                Some(fault) => {
                    chip(ui, Status::Fail, "No value");
                    note(ui, format!("The probe reports: {fault}"));
                }
                None => countdown(ui, steadiness),
            }
        });
        let points: Vec<_> = sensing.trace(&steadiness.probe).collect();
        let plot = SteadyPlot {
            name: "The probe's last two minutes",
            points,
            window_secs: (steadiness.needed_secs as f64).min(KEPT_SECS as f64),
            band_celsius: steadiness.band_celsius,
            is_steady: steadiness.is_steady,
        };
        plot.show(ui, 176.0);
    });
}

fn countdown(ui: &mut Ui, steadiness: &Steadiness) {
    let left = steadiness.needed_secs.saturating_sub(steadiness.watched_secs);
    match (steadiness.is_steady, left) {
        (true, _) => chip(ui, Status::Pass, "Steady"),
        (false, 0) => chip(ui, Status::Warn, "Not steady yet"),
        (false, _) => chip(ui, Status::Running, &format!("Hold still: {left} s")),
    };
    let share = steadiness.watched_secs as f32 / steadiness.needed_secs.max(1) as f32;
    widgets::bar(ui, "Time watched", share);
    let color = ui.palette().text2;
    let band = text::number(Some(steadiness.band_celsius), 2);
    let held_to = format!("At most {band} °C apart for {} s", steadiness.needed_secs);
    let words = if left == 0 && !steadiness.is_steady { format!("The probe {}", steadiness.words) } else { held_to };
    say_in(ui, Type::Caption, color, words);
}

fn big_value(ui: &mut Ui, name: &str, value: String, unit: &str) {
    note(ui, name);
    ui.horizontal(|ui| {
        say(ui, Type::BigValue, value);
        say(ui, Type::H2, unit);
    });
}

/// Width for a field and a button beside it, pt.
const BESIDE_FIELD: f32 = 440.0;

/// A field for the reference, with what the calibration would make of it.
fn value_field(
    ui: &mut Ui,
    question: &Question,
    (name, hint): (&str, &str),
    (sensing, tolerances): (&Sensing, &Tolerances),
    (view, port): (&mut View, &str),
) {
    let (typed, value) = (view.answer(port), number(view.answer(port)));
    let wrong = !typed.is_empty() && value.is_none();
    let wrong = wrong.then_some("Type a number");
    if ui.available_width() < BESIDE_FIELD {
        field(ui, name, hint, wrong, (view, port));
        leave_out(ui, (view, port));
    } else {
        ui.horizontal_top(|ui| {
            field(ui, name, hint, wrong, (view, port));
            ui.vertical(|ui| {
                // Beside the field, not beside its name.
                ui.add_space(25.0);
                leave_out(ui, (view, port));
            });
        });
    }
    if let Some(trial) = value.and_then(|value| Trial::of(question, sensing, value)) {
        trial.show(ui, tolerances);
    }
}

fn leave_out(ui: &mut Ui, (view, port): (&mut View, &str)) {
    if ui.add(Button::ghost("Leave this out").icon(Icon::SkipForward)).clicked() {
        view.order(Command::Answer { port: port.to_owned(), reply: Reply::Skip });
    }
}

fn field(ui: &mut Ui, name: &str, hint: &str, error: Option<&str>, (view, port): (&mut View, &str)) {
    let nothing_in_hand = !view.is_asking() && ui.memory(|memory| memory.focused().is_none());
    let typed = view.answers.entry(port.to_owned()).or_default();
    let response = Field::new(name, typed).hint(hint).error(error).width(240.0).show(ui);
    if nothing_in_hand {
        response.request_focus();
    }
}

/// The door with what its switch does: moved, stuck, bouncing.
fn door(ui: &mut Ui, sensing: &Sensing, words: &str, icon: Icon, must_move: bool) {
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(120.0, 120.0), Sense::hover());
        icon.paint(ui.painter(), rect.center(), 112.0, ui.palette().text);
        ui.vertical(|ui| {
            ui.add_space(24.0);
            say(ui, Type::H2, words);
            match (sensing.door_moved(), must_move) {
                (Some(true), _) => chip(ui, Status::Pass, "The switch has moved"),
                (Some(false), true) => chip(ui, Status::Running, "The switch has not moved yet"),
                (Some(false), false) => chip(ui, Status::Idle, "The switch has not moved; was the door open before?"),
                (None, _) => note(ui, "Looking at the switch…"),
            };
        });
    });
    match sensing.door_bounces() {
        0 => {}
        bounces @ 1..=USUAL_BOUNCES => {
            note(ui, format!("The contact bounced {}. That is filtered out.", times(bounces)));
        }
        bounces => {
            let sentence = format!("The contact bounced {}. Bring magnet and switch closer together.", times(bounces));
            widgets::banner(ui, Status::Warn, &sentence, None);
        }
    }
    if must_move && sensing.door_moved() == Some(false) {
        note(
            ui,
            "If the door is closed, the switch is stuck or its magnet is missing. Mend it, or leave the door out.",
        );
    }
}

fn times(count: u32) -> String {
    text::count(count as usize, "time", "times")
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_value_may_be_typed_with_a_comma_or_a_true_minus() {
        assert_eq!(number("-20,3"), Some(-20.3));
        assert_eq!(number("\u{2212}18.5"), Some(-18.5));
        assert_eq!([number("inf"), number("cold"), number("")], [None, None, None]);
    }
}
