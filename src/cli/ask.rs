//! The person at the terminal, asked by a job.

use std::io::{BufRead, IsTerminal, Write};

use async_trait::async_trait;

use crate::ports::operator::{Operator, Question, Reply};

/// Asks on the terminal. Without one nobody answers.
pub struct Terminal;

/// Whether somebody sits at the terminal.
pub fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[async_trait]
impl Operator for Terminal {
    async fn ask(&self, question: Question) -> Reply {
        if !somebody_is_there() {
            return Reply::Declined;
        }
        // Reading a line blocks; the job's own time limit holds here too.
        tokio::task::spawn_blocking(move || ask(&question)).await.unwrap_or(Reply::Declined)
    }
}

fn ask(question: &Question) -> Reply {
    loop {
        let Some(line) = read_line(&words(question)) else { return Reply::Declined };
        match understand(question, line.trim()) {
            Ok(reply) => return reply,
            Err(why) => eprintln!("{why}"),
        }
    }
}

fn read_line(prompt: &str) -> Option<String> {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{prompt} ").and_then(|()| err.flush());
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line),
    }
}

fn words(question: &Question) -> String {
    match question {
        Question::FreezerProbe { probes } => {
            let list: Vec<String> = probes
                .iter()
                .enumerate()
                .map(|(number, (rom, celsius))| match celsius {
                    Some(celsius) => format!("  {}. {rom}  {celsius:.2} °C", number + 1),
                    None => format!("  {}. {rom}  no value", number + 1),
                })
                .collect();
            format!("Which probe is in the freezer? Warm one by hand to see which.\n{}\nNumber:", list.join("\n"))
        }
        Question::FreezerReference { point, raw_celsius, taken, refused } => {
            format!(
                "{}Point {point}: the probe is steady at {raw_celsius:.2} °C. What does the thermometer show, °C? (empty: leave out{})",
                why(refused),
                back(taken.is_empty())
            )
        }
        Question::SupplyReference { point, raw_volts, taken, refused } => {
            format!(
                "{}Point {point}: the board measures {raw_volts:.2} V. What does the multimeter show, V? (empty: leave out{})",
                why(refused),
                back(taken.is_empty())
            )
        }
        Question::OpenDoor => "Open the freezer door, then press Enter (s: leave out).".to_owned(),
        Question::CloseDoor => "Close the freezer door, then press Enter (s: leave out).".to_owned(),
        Question::Serial { instrument, last } if last.is_empty() => format!("Serial number of the {instrument}:"),
        Question::Serial { instrument, last } => format!("Serial number of the {instrument} [{last}]:"),
    }
}

/// Why the last answer was not taken.
fn why(refused: &Option<String>) -> String {
    refused.as_ref().map_or_else(String::new, |why| format!("Not taken: {why}.\n"))
}

fn back(is_first: bool) -> &'static str {
    if is_first { "" } else { "; b: take the last point again" }
}

fn understand(question: &Question, line: &str) -> Result<Reply, String> {
    match question {
        Question::FreezerProbe { probes } => {
            let chosen = line.parse::<usize>().ok().and_then(|number| probes.get(number.checked_sub(1)?));
            match chosen {
                Some((rom, _)) => Ok(Reply::Text(rom.clone())),
                None => Err(format!("Enter a number from 1 to {}.", probes.len())),
            }
        }
        Question::FreezerReference { .. } | Question::SupplyReference { .. } if line.is_empty() => Ok(Reply::Skip),
        Question::FreezerReference { .. } | Question::SupplyReference { .. } if line.eq_ignore_ascii_case("b") => {
            Ok(Reply::Back)
        }
        Question::FreezerReference { .. } | Question::SupplyReference { .. } => {
            let number = line.replace(',', ".").parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Reply::Number).ok_or_else(|| "Enter a number such as -20.3.".to_owned())
        }
        Question::OpenDoor | Question::CloseDoor if line.eq_ignore_ascii_case("s") => Ok(Reply::Skip),
        Question::OpenDoor | Question::CloseDoor => Ok(Reply::Yes),
        Question::Serial { last, .. } if line.is_empty() => Ok(Reply::Text(last.clone())),
        Question::Serial { .. } => Ok(Reply::Text(line.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_may_be_written_with_a_comma_and_nonsense_is_asked_again() {
        let question = Question::FreezerReference { point: 1, raw_celsius: -20.0, taken: Vec::new(), refused: None };
        assert_eq!(understand(&question, "-20,3"), Ok(Reply::Number(-20.3)));
        assert_eq!(understand(&question, ""), Ok(Reply::Skip));
        assert!(understand(&question, "cold").is_err());
        assert!(understand(&question, "inf").is_err());
    }

    #[test]
    fn a_probe_is_chosen_by_its_number() {
        let question = Question::FreezerProbe { probes: vec![("28aa".into(), Some(-19.0)), ("28bb".into(), None)] };
        assert_eq!(understand(&question, "2"), Ok(Reply::Text("28bb".into())));
        assert!(understand(&question, "0").is_err());
        assert!(understand(&question, "3").is_err());
    }
}
