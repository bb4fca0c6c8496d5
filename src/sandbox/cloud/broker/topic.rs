//! Topic names and filters within AWS's limits.

/// The most bytes a topic may have.
const LIMIT_BYTES: usize = 256;
/// The most slashes, reserved topics aside.
const LIMIT_SLASHES: usize = 7;

/// Whether a client may publish to this at all.
pub(super) fn is_topic(topic: &str) -> bool {
    within_limits(topic) && !topic.contains(['+', '#'])
}

/// Whether this is a well-formed filter: `+` fills a level, `#` is the last one.
pub(super) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut formed = within_limits(filter);
    while let Some(level) = levels.next() {
        formed &= match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            other => !other.contains(['+', '#']),
        };
    }
    formed
}

fn within_limits(topic: &str) -> bool {
    let slashes = topic.matches('/').count();
    !topic.is_empty() && topic.len() <= LIMIT_BYTES && (slashes <= LIMIT_SLASHES || topic.starts_with("$aws/"))
}

/// Whether a filter takes in a topic. Wildcards do not reach into `$` topics.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic) in
            [("a/b", "a/b"), ("a/+", "a/b"), ("a/#", "a/b/c"), ("a/#", "a"), ("#", "a"), ("$aws/#", "$aws/x")]
        {
            assert!(matches(filter, topic), "{filter} takes in {topic}");
        }
        for (filter, topic) in [("a/+", "a/b/c"), ("a", "a/b"), ("#", "$aws/x"), ("+/x", "$aws/x"), ("a/b/+", "a/b")] {
            assert!(!matches(filter, topic), "{filter} does not take in {topic}");
        }
        assert!(is_filter("a/+/#") && !is_filter("a/#/b") && !is_filter("a+") && !is_filter(""));
        assert!(is_topic("a/b/c/d/e/f/g/h") && !is_topic("a/b/c/d/e/f/g/h/i") && !is_topic("a/+"));
    }
}
