//! What the program said last, kept in memory for the support bundle.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept; older ones go first.
const MAX_LINES: usize = 500;
/// The longest line; the rest of a longer one is left out.
const MAX_LINE_BYTES: usize = 2000;

/// A bounded log. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LogRing(Arc<Mutex<VecDeque<String>>>);

impl LogRing {
    /// The lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn keep(&self, text: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text.lines() {
            if lines.len() == MAX_LINES {
                lines.pop_front();
            }
            lines.push_back(line.get(..line.floor_char_boundary(MAX_LINE_BYTES)).unwrap_or(line).to_owned());
        }
    }
}

impl io::Write for LogRing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.keep(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogRing {
    type Writer = LogRing;

    fn make_writer(&self) -> LogRing {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_more() {
        let log = LogRing::default();
        for number in 0..MAX_LINES + 3 {
            log.keep(&format!("line {number}\n"));
        }
        let lines = log.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (MAX_LINES, "line 3"));
        log.keep(&"ä".repeat(MAX_LINE_BYTES));
        assert!(log.lines().last().is_some_and(|line| line.len() <= MAX_LINE_BYTES));
    }
}
