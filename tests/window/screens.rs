//! The screens beside the job, each with the real core behind it: what is pressed there happens to board, cloud and files.

use std::{fs, path::Path};

use coldbench::{
    app::{live::Path as Way, proof::ProofState, station::What},
    domain::ThingName,
    ports::ledger::JobState,
};
use serde_json::json;

use crate::{
    depot::{Depot, Screen, is_in_cloud},
    words,
};

#[test]
fn a_board_is_followed_in_the_cloud_and_takes_a_change_of_its_shadow() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let mut screen = depot.open();
    let thing = commission(&mut screen, port);

    screen.go_to("Live");
    screen.press("Follow in the cloud");
    screen.wait_for("over USB and MQTT");
    screen.wait("a reading that is proven", |screen| {
        let live = &screen.station(port).unwrap().live;
        let came = live.count(Way::Usb) > 0 && live.count(Way::Mqtt) > 0;
        came && matches!(live.proof(), ProofState::Proven { .. }) && screen.shows("is the same over USB, MQTT")
    });

    screen.go_to("Shadow");
    screen.wait_for("Board and cloud agree");
    screen.press("Change settings");
    screen.type_into("Measure every, s", "3");
    screen.wait_for("1 setting will change");
    screen.press("Apply change");
    screen.wait("a board that does as is desired", |screen| {
        let shadow = screen.state().things.get(&thing).and_then(|watched| watched.shadow.as_ref());
        let takes = shadow.is_some_and(|shadow| {
            let interval = shadow.state.reported.get("interval_secs");
            interval == Some(&json!(3)) && shadow.state.delta.is_empty()
        });
        takes && screen.shows("Board and cloud agree")
    });
}

#[test]
fn a_job_is_handed_over_and_its_truck_decommissioned() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let mut screen = depot.open();
    let thing = commission(&mut screen, port);

    screen.go_to("Jobs");
    let job = screen.state().jobs.as_ref().unwrap()[0].clone();
    screen.open_job(&job);
    screen.press("Hand-over sheet…");
    let sheet = depot.folder().join("sheet.html");
    screen.save_as(&sheet);
    let sheet = fs::read_to_string(sheet).unwrap();
    assert!(sheet.contains(thing.as_str()) && sheet.contains(job.job.as_str()) && sheet.contains("<svg"), "{sheet}");

    screen.press("CSV…");
    let table = depot.folder().join("jobs.csv");
    screen.save_as(&table);
    let table = fs::read_to_string(table).unwrap();
    assert!(table.lines().nth(1).is_some_and(|row| row.contains(job.job.as_str()) && row.contains("T001")), "{table}");

    assert!(is_in_cloud(&depot, &thing));
    screen.press("Decommission…");
    screen.press("Decommission");
    screen.wait("the job's new state", |screen| {
        let jobs = screen.state().jobs.as_ref().unwrap();
        jobs.iter().any(|other| other.job == job.job && other.state == JobState::Decommissioned)
    });
    assert!(!is_in_cloud(&depot, &thing));
}

#[test]
fn the_site_profile_is_changed_saved_and_used_by_the_next_job() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let mut screen = depot.open();
    screen.wait_until(port, "new board", |is| *is == What::New);
    screen.go_to("Site");
    screen.type_into("Thing name, with {truck}", "cold-{truck}");
    screen.wait_for("The profile is right and can be saved");
    screen.press("Save");
    screen.wait_for("As it is used now");
    let site = depot.site_text();
    assert!(site.contains("thing_name = \"cold-{truck}\""), "{site}");

    screen.go_to("Boards");
    let thing = commission(&mut screen, port);
    assert_eq!(thing.as_str(), "cold-T001");
    assert!(is_in_cloud(&depot, &thing));
}

#[test]
fn the_check_before_a_shift_names_everything_it_looked_at() {
    let depot = Depot::with_boards(1);
    let mut screen = depot.open();
    screen.go_to("Check");
    screen.wait("findings", |screen| screen.state().findings.is_some());
    screen.press("Check now");
    screen.wait("findings on the screen", |screen| {
        let findings = screen.state().findings.as_ref();
        let named = |what: &str| screen.text().lines().any(|line| line.to_lowercase() == what.to_lowercase());
        findings.is_some_and(|all| all.len() > 3 && all.iter().all(|finding| named(&finding.what)))
    });
    assert!(screen.shows("Signed in to account"), "{}", screen.text());
}

#[test]
fn the_support_bundle_holds_the_jobs_and_no_secret() {
    const PASSPHRASE: &str = "snow-and-more-snow";
    let depot = Depot::with_boards(1);
    let network = [("ssid", "depot"), ("passphrase", PASSPHRASE)];
    depot.set_site("network", toml::Table::from_iter(network.map(|(key, value)| (key.into(), value.into()))).into());
    let port = &depot.ports[0];
    let mut screen = depot.open();
    let thing = commission(&mut screen, port);
    screen.go_to("Log");
    screen.press("Save support bundle…");
    let bundle = depot.folder().join("bundle.txt");
    screen.save_as(&bundle);
    let bundle = fs::read_to_string(bundle).unwrap();
    assert!(bundle.contains(thing.as_str()) && bundle.contains("prove: done"), "{bundle}");
    for secret in [PASSPHRASE, &depot.key.1, "PRIVATE KEY"] {
        assert!(!bundle.contains(secret), "the bundle holds {secret:?}");
    }
}

/// Commissions the new board as truck T001 and puts the verdict away.
fn commission(screen: &mut Screen, port: &str) -> ThingName {
    screen.begin(port);
    screen.passes(port);
    let thing = screen.station(port).unwrap().thing().unwrap().parse().unwrap();
    screen.press(words::NEXT_BOARD);
    screen.wait_until(port, "commissioned board", |is| matches!(is, What::Commissioned { .. }));
    thing
}

impl Screen {
    /// Types a path into the dialog that asks for a file, saves, and looks until the core has written it.
    fn save_as(&mut self, file: &Path) {
        self.type_into("File", &file.display().to_string());
        self.press("Save");
        self.wait_for(&format!("Saved {}", file.display()));
    }
}
