use eframe::egui::{self, accesskit::Role};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};

use super::*;
use crate::ui::{icons::Icon, theme, tokens::Look};

/// A screen with our theme and one part on it.
fn screen<'a, S: 'a>(state: S, mut show: impl FnMut(&mut Ui, &mut S) + 'a) -> Harness<'a, S> {
    let mut dressed = false;
    let dressed_show = move |ui: &mut Ui, state: &mut S| {
        if !std::mem::replace(&mut dressed, true) {
            theme::install(ui.ctx());
            // The fonts are there from the next pass on.
            return;
        }
        show(ui, state);
    };
    let mut harness = Harness::builder().with_size(egui::vec2(1278.0, 560.0)).build_ui_state(dressed_show, state);
    harness.run_steps(3);
    harness
}

#[test]
fn a_button_is_pressed_by_its_words() {
    let mut harness = screen(0, |ui, pressed: &mut i32| {
        if ui.add(Button::primary("Start").icon(Icon::Play)).clicked() {
            *pressed += 1;
        }
        ui.add(Button::secondary("Later").enabled(false));
    });
    let start = harness.get_by_role_and_label(Role::Button, "Start");
    assert!(start.rect().height() >= 64.0);
    start.click();
    harness.run_steps(3);
    assert_eq!(*harness.state(), 1);
    assert!(harness.get_by_label("Later").accesskit_node().is_disabled());
}

#[test]
fn the_keyboard_presses_a_button_too() {
    let mut harness = screen(false, |ui, pressed: &mut bool| {
        *pressed |= ui.add(Button::danger("Undo")).clicked();
    });
    harness.key_press(egui::Key::Tab);
    harness.run_steps(2);
    harness.key_press(egui::Key::Enter);
    harness.run_steps(2);
    assert!(*harness.state());
}

#[test]
fn states_are_read_out_as_words() {
    let harness = screen((), |ui, ()| {
        chip(ui, Status::Pass, "Passed");
        segments(ui, "Progress of the job", &[Segment::Done, Segment::Running(0.5), Segment::Waiting]);
        bar(ui, "Writing the firmware", 0.25);
        lamps(ui, Some(Lamp::Amber));
        Tile {
            name: "Freezer",
            value: "−21.4".into(),
            unit: "°C",
            abnormal: Some((Status::Warn, "Warm")),
            below: "Limit −18 °C".into(),
        }
        .show(ui, 300.0);
        key_value(ui, "Port", "/dev/ttyUSB0");
    });
    for words in ["Passed", "Traffic light: Look at it", "−21.4", "Warm", "Port", "/dev/ttyUSB0"] {
        harness.get_by_label(words);
    }
    let whole = harness.get_by_label("Progress of the job");
    assert_eq!(whole.accesskit_node().numeric_value(), Some(50.0));
    assert_eq!(harness.get_by_label("Writing the firmware").accesskit_node().numeric_value(), Some(25.0));
}

#[test]
fn a_verdict_says_pass_or_fail_and_why() {
    let mut harness = screen(true, |ui, passed: &mut bool| {
        let panel = VerdictPanel {
            passed: *passed,
            subject: "Truck T001",
            sentence: "The board does not answer",
            advice: "Check the cable",
            code: "board.silent",
        };
        verdict(ui, &panel);
    });
    harness.get_by_label("PASS");
    *harness.state_mut() = false;
    harness.run_steps(2);
    harness.get_by_label("FAIL");
    harness.get_by_label("Code board.silent");
}

#[test]
fn a_step_can_be_chosen() {
    let mut harness = screen(None, |ui, chosen: &mut Option<usize>| {
        let rows = [
            StepRow { title: "Look at the board", status: Status::Pass, aside: "2 s".into() },
            StepRow { title: "Write the firmware", status: Status::Running, aside: "40 %".into() },
        ];
        *chosen = step_list(ui, *chosen, &rows).or(*chosen);
    });
    harness.get_by_label("Write the firmware: running").click();
    harness.run_steps(3);
    assert_eq!(*harness.state(), Some(1));
}

#[test]
fn a_field_has_its_name_and_says_what_is_wrong() {
    let mut harness = screen(String::new(), |ui, truck: &mut String| {
        let error = truck.is_empty().then_some("Enter a truck");
        Field::new("Truck", truck).hint("T001").error(error).show(ui);
    });
    harness.get_by_label("Enter a truck");
    let field = harness.get_by_role_and_label(Role::TextInput, "Truck");
    field.focus();
    harness.run_steps(2);
    harness.get_by_role_and_label(Role::TextInput, "Truck").type_text("T007");
    harness.run_steps(2);
    assert_eq!(harness.state(), "T007");
    assert!(harness.query_by_label("Enter a truck").is_none());
}

#[test]
fn a_dialog_gives_the_keyboard_to_cancel_and_ignores_a_click_beside_it() {
    let mut harness = screen(None, |ui, answer: &mut Option<Answer>| {
        let dialog = Dialog { title: "Undo the job?", confirm: "Undo", cancel: "Keep", destructive: true };
        let given = dialog.show(ui.ctx(), |ui| {
            note(ui, "The certificate is retired");
        });
        *answer = given.or(*answer);
    });
    assert!(harness.get_by_label("Keep").is_focused());
    harness.drag_at(egui::pos2(4.0, 4.0));
    harness.drop_at(egui::pos2(4.0, 4.0));
    harness.run_steps(3);
    assert_eq!(*harness.state(), None);
    harness.get_by_label("Undo").click();
    harness.run_steps(3);
    assert_eq!(*harness.state(), Some(Answer::Confirmed));
    harness.key_press(egui::Key::Escape);
    harness.run_steps(2);
    assert_eq!(*harness.state(), Some(Answer::Cancelled));
}

#[test]
fn a_failure_stays_until_it_is_closed_and_the_number_of_messages_is_bounded() {
    let mut harness = screen(Toasts::default(), |ui, toasts: &mut Toasts| toasts.show(ui.ctx()));
    let context = harness.ctx.clone();
    for number in 0..7 {
        harness.state_mut().push(&context, Status::Fail, format!("Message {number}"));
    }
    harness.run_steps(3);
    assert_eq!(harness.state().dropped(), 2);
    assert!(harness.query_by_label("Message 1").is_none());
    harness.get_by_label("Message 6");
    harness.get_all_by_label("Close").next_back().unwrap().click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Message 6").is_none());
}

#[test]
fn choices_change_what_they_stand_for() {
    let mut harness = screen((0_u8, false, Look::Light), |ui, (tab, ticked, look)| {
        tabs(ui, tab, &[(0, "Readings"), (1, "Payload")]);
        check_box(ui, ticked, "Start on scan");
        let looks = Look::ALL.map(|look| (look, look.name()));
        select(ui, "Look", look, &looks);
        code_drawer(ui, "Payload as sent", "{\"v\":1}");
    });
    harness.get_by_role_and_label(Role::Tab, "Payload").click();
    harness.get_by_role_and_label(Role::CheckBox, "Start on scan").click();
    harness.run_steps(3);
    assert_eq!((harness.state().0, harness.state().1), (1, true));
    harness.get_by_label("Payload as sent").click();
    harness.run_steps(20);
    harness.get_by_label("{\"v\":1}");
    harness.get_by_label("Copy");
}

#[test]
fn banners_and_empty_screens_say_what_to_do_next() {
    let mut harness = screen(0, |ui, pressed: &mut i32| {
        if banner(ui, Status::Warn, "The sign-in ends in 5 minutes", Some("Sign in again")) {
            *pressed += 1;
        }
        if empty(ui, Icon::Usb, "No board yet", "Plug a board into a USB port", Some("Look again")) {
            *pressed += 10;
        }
    });
    harness.get_by_label("Sign in again").click();
    harness.run_steps(2);
    harness.get_by_label("Look again").click();
    harness.run_steps(2);
    assert_eq!(*harness.state(), 11);
    harness.get_by_label("Plug a board into a USB port");
}
