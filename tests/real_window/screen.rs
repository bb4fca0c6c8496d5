//! A screen in memory with a keyboard and a pointer.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use super::{screenshots, wait_until, within};

const WIDTH: usize = 1366;
const HEIGHT: usize = 768;

/// An X server with nothing but memory behind it. Ends with the test.
pub struct Screen {
    server: Child,
    display: String,
    folder: PathBuf,
}

impl Screen {
    /// Starts a server at a display that is free.
    pub fn start() -> Self {
        for tool in ["Xvfb", "xdotool", "import"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
            assert!(found.status.success(), "{tool} is missing: install xvfb, xdotool and imagemagick");
        }
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", &format!("{WIDTH}x{HEIGHT}x24")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let number = number.trim();
        assert!(!number.is_empty(), "Xvfb did not start; run `Xvfb -displayfd 1` to see why");
        let folder = screenshots();
        fs::create_dir_all(&folder).unwrap();
        Screen { server, display: format!(":{number}"), folder }
    }

    /// Its name, for a program's environment.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// Where its pictures are kept.
    pub fn folder(&self) -> &Path {
        &self.folder
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

    /// Clicks at a place, in pixels.
    pub fn click(&self, x: i32, y: i32) {
        self.done(&["mousemove", &x.to_string(), &y.to_string(), "click", "1"]);
    }

    /// What is on the screen: three bytes a pixel.
    pub fn picture(&self) -> Vec<u8> {
        let output = self.import("rgb:-");
        assert_eq!(output.stdout.len(), WIDTH * HEIGHT * 3, "a picture of the whole screen");
        output.stdout
    }

    /// The colour of one pixel.
    pub fn pixel(&self, (x, y): (usize, usize)) -> [u8; 3] {
        let start = (y * WIDTH + x) * 3;
        self.picture()[start..start + 3].try_into().unwrap()
    }

    /// What is on the screen once it stands still; what is on it at the limit where it never does.
    pub fn settled(&self, limit: Duration) -> Vec<u8> {
        let mut last = self.picture();
        within(limit, || {
            let now = self.picture();
            let stands_still = now == last;
            last = now;
            stands_still
        });
        last
    }

    /// Keeps a picture of the screen.
    pub fn keep(&self, name: &str) {
        let file = self.folder.join(format!("{name}.png"));
        self.import(file.to_str().unwrap());
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
