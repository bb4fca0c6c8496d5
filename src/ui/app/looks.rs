//! How the window looks, without a screen: pictures of its states, and what holds for every control on every screen.
//!
//! Pictures are kept in `tests/snapshots`. `COLDBENCH_PICTURES=keep cargo test looks` makes them anew;
//! `COLDBENCH_PICTURES=/some/folder` puts one of every screen in every size and look there, to be looked at.

mod canvas;
mod scenes;

use std::{
    fs,
    path::{Path, PathBuf},
};

use eframe::egui::{self, ColorImage, Pos2, Rect, Role, Shape, Vec2};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};

use super::{tests::Script, *};
use crate::ui::{picture, view::Asking};
use canvas::Canvas;

/// The variable that says what to do with pictures.
const PICTURES: &str = "COLDBENCH_PICTURES";
/// A laptop, maximised; and the smallest one.
const LAPTOP: Vec2 = Vec2::new(1366.0, 768.0);
const SMALL: Vec2 = Vec2::new(1093.0, 550.0);
/// Channels that differ by less are the same: processors round differently.
const SAME: u8 = 24;
/// Pixels that may differ all the same.
const MAX_OTHER_PIXELS: usize = 60;
/// The top bar's clock is another in every picture.
const CLOCK: Rect = Rect { min: Pos2 { x: 600.0, y: 0.0 }, max: Pos2 { x: 4000.0, y: 48.0 } };

/// A window on a script, and the memory it is painted into.
struct Shown {
    harness: Harness<'static, Option<Window>>,
    canvas: Canvas,
}

/// Opens a window of so many pixels.
fn open(size: Vec2, pixels_per_point: f32, settings: Settings, tell: impl FnOnce(&Script)) -> Shown {
    let script = Script::default();
    script.tell(Update::Settings(settings));
    tell(&script);
    let canvas = Canvas::default();
    let builder = Harness::builder().with_size(size / pixels_per_point).with_pixels_per_point(pixels_per_point);
    let harness = builder.renderer(canvas.clone()).build_ui_state(
        move |ui, window: &mut Option<Window>| {
            let context = ui.ctx().clone();
            let window = window.get_or_insert_with(|| {
                Window::new(&context, Box::new(script.clone()), Options { demo: false, local: UtcOffset::UTC })
            });
            window.logic(&context);
            window.ui(ui);
        },
        None,
    );
    let mut shown = Shown { harness, canvas };
    shown.harness.run_steps(6);
    shown
}

impl Shown {
    fn view(&mut self) -> &mut View {
        &mut self.harness.state_mut().as_mut().unwrap().view
    }

    fn go(&mut self, place: Place) {
        self.view().place = place;
        self.harness.run_steps(4);
    }

    fn picture(&self) -> ColorImage {
        self.canvas.picture(&self.harness.ctx, self.harness.output())
    }
}

fn look(theme: Look) -> Settings {
    Settings { theme, ..Settings::default() }
}

/// Elsewhere this computer's time zone stands beside the times of the record.
#[cfg(target_os = "linux")]
#[test]
fn the_window_looks_as_it_did() {
    let mut changed = Vec::new();
    let mut check = |name: &str, mut shown: Shown, place: Place| {
        shown.go(place);
        changed.extend(differs(name, &shown.picture()));
    };
    check("boards", open(LAPTOP, 1.0, look(Look::Light), scenes::every_board), Place::Stations);
    check("boards-dark-small", open(SMALL, 1.0, look(Look::Dark), scenes::every_board), Place::Stations);
    check("no-board-gloves", open(SMALL, 1.0, Settings { gloves: true, ..look(Look::Light) }, |_| {}), Place::Stations);
    check("pass", open(SMALL, 1.0, look(Look::Light), scenes::passed), Place::Run);
    check("fail-contrast", open(SMALL, 1.0, look(Look::HighContrastDark), scenes::failed), Place::Run);
    check("conflict", open(LAPTOP, 1.0, look(Look::HighContrastLight), scenes::conflict), Place::Shadow);
    check(
        "job",
        {
            let mut chosen = None;
            let mut shown = open(LAPTOP, 1.0, look(Look::Dark), |script| chosen = Some(scenes::opened(script)));
            shown.view().job = chosen;
            shown
        },
        Place::Jobs,
    );
    check("site", open(SMALL, 1.0, look(Look::Light), scenes::computer), Place::Site);
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

/// Compares a picture with the one that is kept; says how it differs.
fn differs(name: &str, picture: &ColorImage) -> Option<String> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.png"));
    if std::env::var_os(PICTURES).is_some_and(|value| value == "keep") {
        write(&kept, picture);
        return None;
    }
    let before = read(&kept);
    let other = match &before {
        Some(before) if before.size == picture.size => count_other(before, picture),
        _ => usize::MAX,
    };
    (other > MAX_OTHER_PIXELS).then(|| {
        let new = folder().join(format!("{name}.new.png"));
        write(&new, picture);
        let pixels = if other == usize::MAX { "all pixels".to_owned() } else { format!("{other} pixels") };
        format!("{name}: {pixels} differ; now {}, before {}", new.display(), kept.display())
    })
}

fn count_other(before: &ColorImage, now: &ColorImage) -> usize {
    let is_other = |(one, two): (&egui::Color32, &egui::Color32)| {
        one.to_array().into_iter().zip(two.to_array()).any(|(one, two)| one.abs_diff(two) > SAME)
    };
    let width = now.size[0];
    let is_clock = |index: usize| CLOCK.contains(egui::pos2((index % width) as f32, (index / width) as f32));
    let pairs = before.pixels.iter().zip(&now.pixels).enumerate();
    pairs.filter(|(index, pair)| !is_clock(*index) && is_other(*pair)).count()
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("screenshots")
}

fn write(file: &Path, picture: &ColorImage) {
    let [width, height] = picture.size.map(|side| side as f32);
    let bytes = picture::png(picture, Rect::from_min_max(Pos2::ZERO, egui::pos2(width, height)), 1.0).unwrap();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

fn read(file: &Path) -> Option<ColorImage> {
    let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(file).ok()?)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    Some(ColorImage::from_rgb([info.width as usize, info.height as usize], &bytes[..info.buffer_size()]))
}

/// Opens a screen in a window of a size, with pixels a point and settings.
type Make = Box<dyn Fn(Vec2, f32, Settings) -> Shown>;

/// Every screen, as it is when there is much to show.
fn screens() -> Vec<(String, Make)> {
    fn of(name: &str, place: Place, tell: impl Fn(&Script) + 'static) -> (String, Make) {
        let make = move |size, scale, settings| {
            let mut shown = open(size, scale, settings, &tell);
            shown.go(place);
            shown
        };
        (name.to_owned(), Box::new(make))
    }
    let mut all = vec![
        of("boards", Place::Stations, scenes::every_board),
        of("boards-long", Place::Stations, scenes::long_port),
        of("boards-none", Place::Stations, |_| {}),
        of("flashing", Place::Run, scenes::flashing),
        of("pass", Place::Run, scenes::passed),
        of("fail", Place::Run, scenes::failed),
        of("live", Place::Live, scenes::in_service),
        of("live-none", Place::Live, scenes::long_port),
        of("shadow", Place::Shadow, scenes::in_service),
        of("shadow-conflict", Place::Shadow, scenes::conflict),
        of("shadow-none", Place::Shadow, scenes::long_port),
        of("jobs", Place::Jobs, scenes::every_board),
        of("jobs-none", Place::Jobs, |_| {}),
        of("site", Place::Site, scenes::computer),
        of("check", Place::Check, scenes::computer),
        of("check-none", Place::Check, |_| {}),
        of("settings", Place::Settings, scenes::computer),
        of("log", Place::Log, scenes::computer),
        of("log-none", Place::Log, |_| {}),
    ];
    for (name, question) in scenes::questions() {
        let tell = move |script: &Script| scenes::asks(script, question.clone());
        all.push(of(&format!("ask-{name}"), Place::Run, tell));
    }
    let job_open = |size, scale, settings| {
        let mut chosen = None;
        let mut shown = open(size, scale, settings, |script| chosen = Some(scenes::opened(script)));
        shown.view().job = chosen;
        shown.go(Place::Jobs);
        shown
    };
    all.push(("job".to_owned(), Box::new(job_open)));
    let undo = |size, scale, settings| {
        let mut shown = open(size, scale, settings, scenes::every_board);
        shown.view().asking = Some(Asking::Cancel { port: scenes::PORT.to_owned(), reason: String::new() });
        shown.harness.run_steps(4);
        shown
    };
    all.push(("cancel".to_owned(), Box::new(undo)));
    all
}

/// Sizes and looks that every screen is made for: name, pixels, pixels a point, settings.
fn sizes() -> [(&'static str, Vec2, f32, Settings); 6] {
    let gloves = Settings { gloves: true, ..look(Look::Light) };
    [
        ("light", LAPTOP, 1.0, look(Look::Light)),
        ("dark-small", SMALL, 1.0, look(Look::Dark)),
        ("gloves", LAPTOP, 1.0, gloves.clone()),
        ("gloves-small", SMALL, 1.0, gloves),
        ("contrast", LAPTOP, 1.0, look(Look::HighContrastDark)),
        ("double", LAPTOP, 2.0, look(Look::HighContrastLight)),
    ]
}

/// Roles that a hand or a key can do something with.
const CONTROLS: [Role; 6] =
    [Role::Button, Role::CheckBox, Role::TextInput, Role::ComboBox, Role::Tab, Role::MultilineTextInput];

#[test]
fn every_control_has_a_name_and_room_for_a_finger() {
    let wanted = std::env::var_os(PICTURES).filter(|value| value != "keep").map(PathBuf::from);
    let mut wrong = Vec::new();
    for (size_name, size, scale, settings) in sizes() {
        for (name, make) in screens() {
            let shown = make(size, scale, settings.clone());
            if let Some(folder) = &wanted {
                write(&folder.join(format!("{name}-{size_name}.png")), &shown.picture());
            }
            wrong.extend(faults(&shown).into_iter().map(|fault| format!("{name}, {size_name}: {fault}")));
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// Controls without a name, too low, or beside the window.
fn faults(shown: &Shown) -> Vec<String> {
    let zoom = shown.harness.ctx.zoom_factor();
    let window = shown.harness.ctx.content_rect();
    let mut faults = Vec::new();
    for role in CONTROLS {
        for control in shown.harness.query_all_by_role(role) {
            let node = control.accesskit_node();
            let name = node.label().unwrap_or_default();
            let rect = control.rect();
            if name.trim().is_empty() {
                faults.push(format!("a {role:?} at {rect:?} has no name"));
            }
            if rect.height() < metric::CONTROL - 0.5 {
                faults.push(format!("{name} is {:.0} pt high (zoom {zoom})", rect.height()));
            }
            if rect.left() < window.left() - 0.5 || rect.right() > window.right() + 0.5 {
                faults.push(format!("{name} runs over the edge: {rect:?} in {window:?}"));
            }
        }
    }
    faults
}

#[test]
fn what_the_keyboard_is_on_can_be_seen() {
    for (name, make) in screens() {
        let mut shown = make(SMALL, 1.0, look(Look::Light));
        for step in 0..40 {
            shown.harness.key_press(Key::Tab);
            // A message that goes, or a screen that scrolls, moves things for some frames.
            let mut hidden = None;
            for _ in 0..4 {
                shown.harness.run_steps(3);
                hidden = hidden_focus(&shown.harness);
                if hidden.is_none() {
                    break;
                }
            }
            assert_eq!(hidden, None, "{name}, Tab {step}");
        }
    }
}

/// Why what has the keyboard cannot be seen; `None` when it can, or when nothing has it.
fn hidden_focus<T>(harness: &Harness<'_, T>) -> Option<String> {
    let context = &harness.ctx;
    let focused = context.memory(|memory| memory.focused()).and_then(|id| context.read_response(id))?;
    let seen = focused.interact_rect.intersect(context.content_rect());
    if seen.height() < focused.rect.height().min(metric::CONTROL) - 1.0 || seen.width() < 8.0 {
        return Some(format!("only {seen:?} of {:?} is seen", focused.rect));
    }
    let color = theme::palette(context).focus;
    let rings = harness.output().shapes.iter().filter_map(|clipped| match &clipped.shape {
        Shape::Rect(rect) if rect.stroke.color == color => Some(rect.rect),
        _ => None,
    });
    let rings: Vec<Rect> = rings.collect();
    let is_ringed = rings.iter().any(|ring| ring.expand(8.0).contains_rect(seen));
    (!is_ringed).then(|| format!("no ring round {seen:?}, only {rings:?}"))
}
