//! A screen in memory with a keyboard and a pointer.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use super::{wait_until, within};

const WIDTH: usize = 1366;
const HEIGHT: usize = 768;

/// An X server with nothing but memory behind it. Ends with the test.
pub struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    /// Starts a server at a display that is free.
    pub fn start() -> Self {
        for tool in ["Xvfb", "xdotool", "import"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
            assert!(found.status.success(), "{tool} is missing: install xvfb, xdotool and imagemagick");
        }
        // Without a reset, a program may follow another one at once.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-noreset", "-nolisten", "tcp", "-screen", "0", &format!("{WIDTH}x{HEIGHT}x24")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let number = number.trim();
        assert!(!number.is_empty(), "Xvfb did not start; run `Xvfb -displayfd 1` to see why");
        Screen { server, display: format!(":{number}") }
    }

    /// Its name, for a program's environment.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// Waits for a window and gives it the keyboard, as no window manager does it here.
    pub fn focus(&self, title: &str, limit: Duration) {
        let mut window = String::new();
        let is_there = within(limit, || {
            let found = self.xdotool(&["search", "--onlyvisible", "--name", title]);
            window = String::from_utf8_lossy(&found.stdout).lines().next_back().unwrap_or_default().to_owned();
            !window.is_empty()
        });
        assert!(is_there, "no window {title} within {limit:?}: is software OpenGL (libgl1-mesa-dri) there?");
        wait_until("the window takes the keyboard", || {
            self.xdotool(&["windowfocus", &window]);
            let focused = self.xdotool(&["getwindowfocus"]);
            String::from_utf8_lossy(&focused.stdout).trim() == window
        });
    }

    /// Presses a key.
    pub fn key(&self, key: &str) {
        self.done(&["key", key]);
    }

    /// Types a text.
    pub fn type_text(&self, text: &str) {
        self.done(&["type", "--delay", "20", text]);
    }

    /// What is on the screen: three bytes a pixel.
    fn picture(&self) -> Vec<u8> {
        let output = self.import("rgb:-");
        assert_eq!(output.stdout.len(), WIDTH * HEIGHT * 3, "a picture of the whole screen");
        output.stdout
    }

    /// The colour of one pixel.
    pub fn pixel(&self, (x, y): (usize, usize)) -> [u8; 3] {
        let start = (y * WIDTH + x) * 3;
        self.picture()[start..start + 3].try_into().unwrap()
    }

    fn import(&self, to: &str) -> Output {
        let output = Command::new("import")
            .args(["-silent", "-window", "root", "-depth", "8", to])
            .env("DISPLAY", &self.display)
            .output()
            .unwrap();
        assert!(output.status.success(), "import failed: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn xdotool(&self, arguments: &[&str]) -> Output {
        Command::new("xdotool").args(arguments).env("DISPLAY", &self.display).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) {
        let output = self.xdotool(arguments);
        assert!(output.status.success(), "xdotool {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
