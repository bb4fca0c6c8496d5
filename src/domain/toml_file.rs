//! TOML files of the operator: site profile and calibration references. What is wrong is told with line, column and
//! key, and never quotes the line, which may hold a passphrase.

use serde::de::DeserializeOwned;

use super::Problem;

/// Reads a TOML text into `T`.
///
/// # Errors
/// The given code, with line, column and reason. An unknown key comes with the nearest known one.
pub fn parse<T: DeserializeOwned>(text: &str, what: &str, code: &'static str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().map_or_else(String::new, |span| {
            let (line, column) = line_and_column(text, span.start);
            format!("line {line}, column {column}: ")
        });
        let reason = error.message();
        match unknown_key(reason) {
            Some((key, known)) => Problem::new(
                code,
                format!("{what}, {place}there is no key `{key}`"),
                match nearest(&key, &known) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("Known keys are {}", known.join(", ")),
                },
            ),
            None => Problem::new(code, format!("{what}, {place}{}", first_line(reason)), "Correct this line"),
        }
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Serde's words for a key that no field has: "unknown field `x`, expected one of `a`, `b`".
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).map(str::to_owned);
    let key = quoted.next()?;
    Some((key, quoted.collect()))
}

fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), candidate.as_str()))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use crate::domain::site::Site;

    fn problem(text: &str) -> Problem {
        parse::<Site>(text, "site.toml", "site.invalid").unwrap_err()
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let problem = problem("region = \"eu-central-1\"\nthing_tipe = \"x\"\n");
        assert!(problem.sentence.contains("line 2"), "{problem}");
        assert!(problem.sentence.contains("`thing_tipe`"), "{problem}");
        assert_eq!(problem.advice, "Did you mean `thing_type`?");
    }

    #[test]
    fn an_unknown_key_of_a_table_is_found_too() {
        let problem = problem("[network]\nssid = \"depot\"\npassfrase = \"secret of the depot\"\n");
        assert_eq!(problem.advice, "Did you mean `passphrase`?");
        assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
    }

    #[test]
    fn a_value_that_aws_refuses_is_told_with_its_place() {
        let problem = problem("region = \"eu-central-1\"\nthing_type = \"door and power\"\n");
        assert!(problem.sentence.contains("line 2"), "{problem}");
        assert!(problem.sentence.contains("AWS IoT refuses"), "{problem}");
    }

    #[test]
    fn a_broken_line_is_not_quoted() {
        let problem = problem("[network]\npassphrase = \"half a secret\n");
        assert!(problem.sentence.contains("line 2"), "{problem}");
        assert!(!format!("{problem:?}").contains("half"), "{problem:?}");
    }
}
