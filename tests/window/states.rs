//! The screen as text for each state a board can be in: what its card is called, what to do next, which action is open.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use coldbench::{
    app::{
        command::Command,
        station::{BoardFacts, What},
        update::Update,
    },
    domain::{JobId, Mac, Problem},
    ports::board::{Access, PortInfo},
    ui::app::Link,
};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};

use crate::{
    depot::{text, window},
    words,
};

const PORT: &str = "/dev/ttyUSB0";

/// Actions that a board's state may open.
const ACTIONS: [&str; 5] = [words::COMMISSION, words::RESUME, words::UNDO, words::SEE_READINGS, words::LOOK_AGAIN];

/// A core that says what it is told to.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<VecDeque<Update>>>);

impl Link for Script {
    fn order(&mut self, _: Command) -> bool {
        true
    }

    fn next(&mut self) -> Option<Update> {
        self.0.borrow_mut().pop_front()
    }
}

impl Script {
    fn tell(&self, update: Update) {
        self.0.borrow_mut().push_back(update);
    }
}

#[test]
fn each_state_of_a_board_has_its_words_and_its_action() {
    let (truck, thing) = ("T001".parse().unwrap(), "truckSensor01".parse().unwrap());
    let silent = Problem::new("board.silent", "The board does not answer", "Press RESET on the board");
    let states = [
        What::Looking,
        What::New,
        What::HalfDone { job: JobId::generate(), step_number: 4, of: 10 },
        What::Commissioned { thing, truck: Some(truck) },
        What::AnotherDepot { thing: "other-7".to_owned() },
        What::CannotOpen(silent),
    ];
    let shown: Vec<String> = states.into_iter().map(|is| summary(&is)).collect();
    let expected = [
        "Board at ttyUSB0: Looking at the board…\n  Wait a moment\n",
        "Board at ttyUSB0: New board\n  Scan or type the truck's number to commission it\n  Commission (not open)\n",
        "Board at ttyUSB0: Half done (step 4 of 10)\n  Resume the job, or undo it\n  Resume\n  Undo…\n",
        "Board at ttyUSB0: Commissioned as truckSensor01 in truck T001\n  Nothing needs to be done\n  See readings\n",
        "Board at ttyUSB0: Another depot's board, other-7\n  \
         Decommission it at its own depot before it is used here\n  Look again\n",
        "Board at ttyUSB0: The board does not answer\n  Press RESET on the board\n  Look again\n",
    ];
    assert_eq!(shown.concat(), expected.concat());
}

#[test]
fn a_board_that_is_gone_leaves_an_empty_bench() {
    let script = Script::default();
    plug_in(&script, &What::New);
    let mut harness = window(script.clone());
    assert!(harness.query_all_by_label_contains(words::CARD).next().is_some(), "{}", text(&harness));
    script.tell(Update::Unplugged { port: PORT.to_owned() });
    harness.run_steps(3);
    assert!(harness.query_all_by_label_contains(words::CARD).next().is_none(), "{}", text(&harness));
    harness.get_by_label(words::NO_BOARD);
}

/// The card's name, the advice as far as it is on the screen, and the actions that are there.
fn summary(is: &What) -> String {
    let script = Script::default();
    plug_in(&script, is);
    let harness = window(script);
    let card = harness.query_all_by_label_contains(words::CARD).next();
    let card = card.unwrap_or_else(|| panic!("no card; on the screen:\n{}", text(&harness)));
    // A port may be called by its whole path or by its end.
    let mut lines = vec![card.accesskit_node().label().unwrap_or_default().replace("/dev/", "")];
    if harness.query_all_by_label_contains(&is.advice()).next().is_some() {
        lines.push(is.advice());
    }
    lines.extend(ACTIONS.iter().filter_map(|words| action(&harness, words)));
    lines.join("\n  ") + "\n"
}

fn action<T>(harness: &Harness<'_, T>, words: &str) -> Option<String> {
    let node = harness.query_all_by_role_and_label(eframe::egui::Role::Button, words).next()?;
    let closed = if node.accesskit_node().is_disabled() { " (not open)" } else { "" };
    Some(format!("{words}{closed}"))
}

fn plug_in(script: &Script, is: &What) {
    let port = PORT.to_owned();
    script.tell(Update::Port(PortInfo {
        port: port.clone(),
        guess: "ESP32-C3 (USB)".to_owned(),
        usb_id: Some("303a:1001".to_owned()),
        usb_serial: None,
        access: Access::Ok,
        advice: String::new(),
    }));
    let facts = BoardFacts { mac: Mac([1, 2, 3, 4, 5, 6]), chip: "esp32c3".to_owned(), firmware: None };
    script.tell(Update::Recognised { port, is: is.clone(), board: Some(facts) });
}
