//! The screens on states of their own, by their labels.

use eframe::egui::{OutputCommand, Role, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use serde_json::{Map, Value, json};
use time::macros::datetime;

use super::*;
use crate::{
    app::{
        command::Command,
        station::What,
        update::{SiteView, Update},
    },
    domain::{JobId, Problem, ThingName, release::Release, shadow::Shadow, site::Site},
    ports::{
        board::{Access, PortInfo},
        ledger::{JobKind, JobRecord, JobState},
    },
    ui::{
        dialogs::{FileAsk, Purpose},
        theme,
        view::Deed,
    },
};

struct Screen {
    state: AppState,
    view: View,
    themed: bool,
}

fn screen(place: Place, updates: Vec<Update>) -> Harness<'static, Screen> {
    let mut state = AppState::default();
    updates.into_iter().for_each(|update| state.apply(update));
    let view = View { place, ..View::default() };
    let mut harness = Harness::builder().with_size(vec2(1240.0, 1400.0)).build_ui_state(
        |ui, screen: &mut Screen| {
            if !screen.themed {
                theme::install(ui.ctx());
                screen.themed = true;
                // The fonts are there from the next pass on.
                return;
            }
            show(ui, &screen.state, &mut screen.view);
        },
        Screen { state, view, themed: false },
    );
    harness.run_steps(4);
    harness
}

fn ordered(harness: &Harness<'static, Screen>) -> Vec<Command> {
    harness.state().view.orders.clone()
}

/// Tells the screen something after it was opened.
fn tell(harness: &mut Harness<'static, Screen>, update: Update) {
    let screen = harness.state_mut();
    screen.view.hear(&update);
    screen.state.apply(update);
    harness.run_steps(3);
}

fn press(harness: &mut Harness<'static, Screen>, name: &str) {
    harness.get_by_role_and_label(Role::Button, name).click();
    harness.run_steps(3);
}

fn type_into(harness: &mut Harness<'static, Screen>, name: &str, words: &str) {
    harness.get_by_role_and_label(Role::TextInput, name).focus();
    harness.run_steps(2);
    harness.get_by_role_and_label(Role::TextInput, name).type_text(words);
    harness.run_steps(3);
}

fn thing() -> ThingName {
    "truckSensor01".parse().unwrap()
}

fn commissioned() -> Vec<Update> {
    let port = "/dev/ttyUSB0".to_owned();
    let (guess, advice) = ("ESP32-C3 (USB)".to_owned(), String::new());
    let info = PortInfo { port: port.clone(), guess, usb_id: None, usb_serial: None, access: Access::Ok, advice };
    let is = What::Commissioned { thing: thing(), truck: "T001".parse().ok() };
    vec![Update::Port(info), Update::Recognised { port, is, board: None }]
}

fn shadow(desired: Value) -> Shadow {
    let delta = json!({ "interval_secs": 10 });
    let state = json!({ "reported": { "interval_secs": 5 }, "desired": desired, "delta": delta });
    serde_json::from_value(json!({ "state": state, "version": 7, "timestamp": 1_795_766_400 })).unwrap()
}

fn with_shadow() -> Vec<Update> {
    let mut updates = commissioned();
    updates.push(Update::Shadow { thing: thing(), shadow: Some(Box::new(shadow(json!({ "interval_secs": 10 })))) });
    updates
}

pub(super) fn job(truck: &str, state: JobState) -> JobRecord {
    JobRecord {
        job: JobId::generate(),
        kind: JobKind::Commission,
        state,
        truck: truck.parse().ok(),
        thing: format!("truckSensor-{truck}").parse().ok(),
        mac: None,
        port: "/dev/ttyUSB0".to_owned(),
        order: Value::Null,
        began: datetime!(2026-11-27 08:00:00 UTC),
        ended: None,
        problem: None,
        leftovers: Vec::new(),
    }
}

#[test]
fn a_job_is_searched_for_and_opened() {
    let passed = job("T001", JobState::Passed);
    let jobs = vec![passed.clone(), job("T002", JobState::Failed)];
    let mut harness = screen(Place::Jobs, vec![Update::Jobs(jobs.into())]);
    harness.get_by_label("2 jobs");
    type_into(&mut harness, "Search", "t001");
    harness.get_by_label("1 job");
    press(&mut harness, "Job of truck T001: Passed, 2026-11-27 08:00:00 UTC");
    assert_eq!(ordered(&harness), [Command::OpenJob { job: passed.job.clone() }]);
    let Screen { state, view, .. } = harness.state();
    let primary = bar(state, view).primary.unwrap();
    assert_eq!(primary.words, "Hand-over sheet…");
    assert!(matches!(primary.deed, Some(Deed::File(_))));
}

#[test]
fn a_file_is_saved_under_the_path_that_is_typed() {
    let mut harness = screen(Place::Log, Vec::new());
    harness.state_mut().view.file = Some(FileAsk::new("Export", Purpose::Write(b"x".as_slice().into()), ""));
    harness.run_steps(4);
    press(&mut harness, "Save");
    assert_eq!(ordered(&harness), [], "without a path nothing is saved");
    type_into(&mut harness, "File", "/tmp/jobs.csv");
    press(&mut harness, "Save");
    assert_eq!(ordered(&harness), [Command::SaveFile { file: "/tmp/jobs.csv".into(), bytes: b"x".to_vec() }]);
    assert!(!harness.state().view.is_asking());
}

#[test]
fn what_differs_between_board_and_cloud_is_said() {
    let harness = screen(Place::Shadow, with_shadow());
    harness.get_by_label("Interval, s, 5, 10, 10, differs");
    harness.get_by_label("The board has not taken the change yet");
}

#[test]
fn a_change_of_the_shadow_is_checked_before_it_can_be_applied() {
    let mut harness = screen(Place::Shadow, with_shadow());
    let edit = bar(&harness.state().state, &harness.state().view).primary.unwrap();
    assert_eq!(edit.words, "Change settings");
    harness.state_mut().view.act(edit.deed.unwrap());
    harness.run_steps(3);
    type_into(&mut harness, "Measure every, s", "000000");
    let Screen { state, view, .. } = harness.state();
    let refused = bar(state, view);
    assert!(refused.sentence.starts_with("Measure every: "), "{}", refused.sentence);
    assert_eq!(refused.primary.unwrap().deed, None);
}

#[test]
fn a_conflict_leaves_the_choice() {
    let mut updates = with_shadow();
    let theirs = Box::new(shadow(json!({ "interval_secs": 30 })));
    let mine = json!({ "interval_secs": 20 });
    updates.push(Update::ShadowConflict { thing: thing(), mine: mine.clone(), theirs });
    let mut harness = screen(Place::Shadow, updates);
    harness.get_by_label("Interval, s, 20, 30, differs");
    press(&mut harness, "Apply mine");
    let seen: Option<Map<String, Value>> = json!({ "interval_secs": 30 }).as_object().cloned();
    assert_eq!(ordered(&harness), [Command::SetDesired { thing: thing(), desired: mine, seen }]);
    assert!(harness.query_by_label("Apply mine").is_none());
}

#[test]
fn a_site_with_a_wrong_line_is_told_and_cannot_be_saved() {
    let text = "region = \"eu-central-1\"\n".to_owned();
    let site = Site::parse(&text).unwrap();
    let site = SiteView { file: Some("/tmp/site.toml".into()), text, site };
    let mut harness = screen(Place::Site, vec![Update::Site(Box::new(site))]);
    type_into(&mut harness, "Measure every, seconds", "often");
    let Screen { state, view, .. } = harness.state();
    let refused = bar(state, view);
    assert!(refused.sentence.contains("line 2"), "{}", refused.sentence);
    assert_eq!(refused.primary.unwrap().deed, None);
    press(&mut harness, "Put back as it was");
    assert_eq!(bar(&harness.state().state, &harness.state().view).sentence, "As it is used now");
}

#[test]
fn the_technician_profile_is_left_on_purpose_only() {
    let settings = Settings { technician: true, ..Settings::default() };
    let mut harness = screen(Place::Settings, vec![Update::Settings(settings.clone())]);
    press(&mut harness, "Leave it…");
    assert_eq!(ordered(&harness), []);
    press(&mut harness, "Leave it");
    let settings = Settings { technician: false, ..settings };
    assert_eq!(ordered(&harness), [Command::SaveSettings { settings }]);
}

#[test]
fn a_newer_version_is_asked_for_when_somebody_presses_and_not_before() {
    const LOOK: &str = "Look for a newer version";
    let mut harness = screen(Place::Settings, Vec::new());
    assert_eq!(ordered(&harness), []);
    press(&mut harness, LOOK);
    assert_eq!(ordered(&harness), [Command::LookForNewer]);
    harness.get_by_label("Looking for a newer version…");
    press(&mut harness, LOOK);
    assert_eq!(ordered(&harness).len(), 1, "one request at a time");

    tell(&mut harness, Update::Newest(Ok(Release::from_tag("v999.0.0", "https://example.org/v999").unwrap())));
    harness.get_by_label_contains("Version 999.0.0 is out");
    harness.get_by_role_and_label(Role::Button, "Open its page").click();
    let opened = (0..4).find_map(|_| {
        harness.step();
        harness.output().platform_output.commands.iter().find_map(|command| match command {
            OutputCommand::OpenUrl(page) => Some(page.url.clone()),
            _ => None,
        })
    });
    assert_eq!(opened.as_deref(), Some("https://example.org/v999"));

    tell(&mut harness, Update::Newest(Ok(Release::from_tag("v999.0.0", "file:///bin/sh").unwrap())));
    assert!(harness.query_by_label("Open its page").is_none());
    let problem = Problem::new("updates.unreachable", "Nobody answers", "Check the network");
    tell(&mut harness, Update::Newest(Err(problem)));
    harness.get_by_label("Nobody answers. Check the network");
    press(&mut harness, LOOK);
    assert_eq!(ordered(&harness).len(), 2, "it can be tried again");
}

#[test]
fn failures_can_be_listed_alone() {
    let problem = Problem::new("port.busy", "The port is in use", "Close the other program");
    let failed = Update::Failed { port: None, doing: "Reading", problem };
    let saved = Update::FileSaved { file: "/tmp/jobs.csv".into() };
    let mut harness = screen(Place::Log, vec![saved, failed]);
    harness.get_by_label("Saved /tmp/jobs.csv");
    harness.get_by_role_and_label(Role::Tab, "Failures").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Saved /tmp/jobs.csv").is_none());
    harness.get_by_label("Reading failed: The port is in use (port.busy)");
}

#[test]
fn the_log_is_copied_as_it_is_listed() {
    let problem = Problem::new("port.busy", "The port is in use", "Close the other program");
    let port = Some("/dev/ttyUSB0".to_owned());
    let failed = Update::Failed { port, doing: "Reading", problem };
    let saved = Update::FileSaved { file: "/tmp/jobs.csv".into() };
    let mut harness = screen(Place::Log, vec![saved, failed]);
    harness.get_by_role_and_label(Role::Tab, "Failures").click();
    harness.run_steps(3);
    harness.get_by_role_and_label(Role::Button, "Copy all").click();
    let copied = (0..4).find_map(|_| {
        harness.step();
        harness.output().platform_output.commands.iter().find_map(|command| match command {
            OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        })
    });
    let copied = copied.unwrap();
    assert!(copied.ends_with("  ttyUSB0: Reading failed: The port is in use (port.busy)"), "{copied}");
    assert!(!copied.contains("jobs.csv"), "{copied}");
}
