//! The program with its window, driven through the toolkit's inspection protocol.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use eframe::egui::{
    Event, Key, Modifiers, PointerButton, Pos2, Role,
    accesskit::{Node, TreeUpdate},
};
use egui_inspection::{
    Request, Response,
    protocol::{read_handshake, read_message, write_message},
};

use super::{BIN, DEADLINE, Screen, screenshots, wait_until, within};

/// Reading or writing the protocol never takes longer; the window itself gives up after 20 s.
const TALK_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// The program with its window; ends with the test.
pub struct Program {
    child: Child,
    port: u16,
    line: Option<TcpStream>,
}

impl Program {
    /// Starts the demo in a folder, which is also its user's home.
    pub fn start(screen: &Screen, folder: &Path, boards: u8) -> Self {
        // Free a moment ago; a program that does not get it says so by not listening.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(BIN);
        command.args(["demo", "--boards", &boards.to_string(), "--dir"]).arg(folder.join("demo"));
        command.env_remove("WAYLAND_DISPLAY").env("DISPLAY", screen.display()).env("LIBGL_ALWAYS_SOFTWARE", "1");
        command.env("HOME", folder).env("XDG_DATA_HOME", folder.join("data"));
        command.env("EGUI_INSPECTION", format!("127.0.0.1:{port}"));
        Program { child: command.stdin(Stdio::null()).spawn().unwrap(), port, line: None }
    }

    /// Says something to the window and takes its answer.
    fn ask(&mut self, request: &Request) -> Response {
        if self.line.is_none() {
            self.line = Some(self.connect());
        }
        let line = self.line.as_mut().unwrap();
        write_message(&mut *line, request).unwrap();
        read_message(&mut *line).unwrap()
    }

    fn connect(&mut self) -> TcpStream {
        let mut line = None;
        let is_there = within(DEADLINE, || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the program has ended: {ended:?}");
            line = TcpStream::connect(("127.0.0.1", self.port)).ok();
            line.is_some()
        });
        assert!(is_there, "the window does not listen at port {}", self.port);
        let line = line.unwrap();
        line.set_read_timeout(Some(TALK_LIMIT)).unwrap();
        line.set_write_timeout(Some(TALK_LIMIT)).unwrap();
        read_handshake(&line).unwrap();
        line
    }

    fn tree(&mut self) -> TreeUpdate {
        let mut tree = None;
        wait_until("the window tells what is on it", || {
            if let Response::Tree { accesskit, .. } = self.ask(&Request::GetTree) {
                tree = accesskit;
            }
            tree.is_some()
        });
        tree.unwrap()
    }

    /// What is on the screen that has this name and role.
    fn find(&mut self, role: Role, name: &str) -> Option<Node> {
        let tree = self.tree();
        let named = |node: &&Node| node.role() == role && words(node, &tree) == name;
        tree.nodes.iter().map(|(_, node)| node).find(named).cloned()
    }

    /// Whether words are on the screen now.
    pub fn shows(&mut self, name: &str) -> bool {
        let tree = self.tree();
        tree.nodes.iter().any(|(_, node)| words(node, &tree) == name)
    }

    /// Waits until words are on the screen.
    pub fn wait_for(&mut self, name: &str) {
        let mut seen = Vec::new();
        let is_there = within(DEADLINE, || {
            let tree = self.tree();
            seen = tree.nodes.iter().map(|(_, node)| words(node, &tree).to_owned()).collect();
            seen.iter().any(|words| words == name)
        });
        seen.retain(|words| !words.is_empty());
        assert!(is_there, "{name:?} is not on the screen, but {seen:?}");
    }

    /// Clicks a control once it is there and open.
    pub fn click(&mut self, role: Role, name: &str) {
        let mut place = None;
        wait_until(&format!("{name} can be clicked"), || {
            let node = self.find(role, name).filter(|node| !node.is_disabled());
            place = node.and_then(|node| node.bounds());
            place.is_some()
        });
        let place = place.unwrap();
        let pos = Pos2::new(((place.x0 + place.x1) / 2.0) as f32, ((place.y0 + place.y1) / 2.0) as f32);
        let press =
            |pressed| Event::PointerButton { pos, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE };
        // One after another, as a hand does it.
        for event in [Event::PointerMoved(pos), press(true), press(false), Event::PointerGone] {
            self.apply(vec![event]);
        }
    }

    /// Types into what has the keyboard.
    pub fn type_text(&mut self, text: &str) {
        self.apply(vec![Event::Text(text.to_owned())]);
    }

    /// Presses a key.
    pub fn key(&mut self, key: Key) {
        for pressed in [true, false] {
            let modifiers = Modifiers::NONE;
            self.apply(vec![Event::Key { key, physical_key: None, pressed, repeat: false, modifiers }]);
        }
    }

    fn apply(&mut self, events: Vec<Event>) {
        let answer = self.ask(&Request::ApplyEvents { events });
        assert!(matches!(answer, Response::Done), "the window does not take an event: {answer:?}");
    }

    /// Changes the size of the window, in points.
    pub fn resize(&mut self, width: u32, height: u32) {
        let answer = self.ask(&Request::Resize { width, height });
        assert!(matches!(answer, Response::Done), "the window does not take another size: {answer:?}");
        wait_until("the window has its size", || self.size() == [width, height]);
    }

    /// Size of the window, in pixels.
    pub fn size(&mut self) -> [u32; 2] {
        self.picture().0
    }

    /// Keeps a picture of the window under `target/screenshots`.
    pub fn keep(&mut self, name: &str) {
        let (_, png) = self.picture();
        let folder = screenshots();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    fn picture(&mut self) -> ([u32; 2], Vec<u8>) {
        let mut picture = None;
        wait_until("the window gives its picture", || {
            if let Response::Screenshot(png) = self.ask(&Request::GetScreenshot { pixels_per_point: None }) {
                picture = Some((png.size, png.bytes));
            }
            picture.is_some()
        });
        picture.unwrap()
    }
}

/// What a node is called: a control by its label or by the words beside it, words by themselves.
fn words<'a>(node: &'a Node, tree: &'a TreeUpdate) -> &'a str {
    let beside = node.labelled_by().first();
    let beside = beside.and_then(|id| tree.nodes.iter().find(|(other, _)| other == id)).map(|(_, node)| node);
    node.label().or_else(|| beside?.value()).or(node.value()).unwrap_or_default()
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
