//! How long a function may be.

use std::path::Path;

use crate::code::code_of;

const FUNCTION_LINES_MAX: usize = 70;

/// Rooms that are still being taken apart.
const NOT_YET: [&str; 2] = ["src/proxy", "tests/simulation"];

/// Functions that are longer, by name. What is shortened leaves this list.
const LONGER: &[&str] = &[
    // Tables of cases, and of what is compared.
    "what_cannot_be_understood_is_named",
    "every_key_is_read",
    "what_is_no_reply_is_refused",
    "malformed_lines_get_memcacheds_words_and_the_connection_stays",
    "pools",
    "lists",
    "cases",
    // Matches with an arm for each kind of thing.
    "feed",
    "element",
    "reference",
    "apply",
    "strike",
    "event",
    "read_requests",
    "join",
    // Tests that tell one story in the order in which it happens.
    "start",
    "a_server_killed_and_restarted_under_load_costs_only_its_own_keys",
    "subscribers_hear_what_is_published",
    "c26_no_spelling_of_a_denied_command_gets_past_the_filter",
    "t43_under_the_old_name_commands_go_to_the_server_of_their_first_key",
    "t41_limits_are_those_of_the_server_and_what_exceeds_one_costs_nothing_but_an_error",
    "t37_what_waits_never_does_so_in_a_transaction",
    "t45_what_a_server_says_to_the_proxys_own_questions_is_not_told_for_something_else",
    "t46_what_a_transaction_publishes_is_heard_once_wherever_its_channel_lives",
    "o16_a_soak_finds_no_mix_up_no_loss_and_no_growth",
    "t1_words_whose_reply_has_no_end_shift_no_reply_and_eject_no_server",
    "memcached_sees_the_same_boundaries_in_what_is_forwarded",
];

/// Every function of a formatted file: its name, and how many lines it has.
fn functions(source: &str) -> Vec<(String, usize)> {
    let code = code_of(source);
    let lines: Vec<&str> = code.lines().collect();
    let mut functions = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = name_of(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        // The first line as far left as this one that closes something ends it.
        let ends = |line: &&str| {
            let rest = line.strip_prefix(indent).unwrap_or(" ");
            rest == "}" || (rest.starts_with(')') && rest.ends_with(';'))
        };
        let length = match line.trim_end().ends_with(['{', '(']) {
            true => lines[index..]
                .iter()
                .position(|line| ends(&line.trim_end())),
            false => Some(0),
        };
        functions.push((name.to_owned(), length.unwrap_or(lines.len() - index) + 1));
    }
    functions
}

/// The name of the function whose signature this line begins.
fn name_of(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_before = |word: &str| {
        ["const", "async", "unsafe", "extern", "pub"].contains(&word) || word.starts_with("pub(")
    };
    let is_fn = words.find(|word| !is_before(word))? == "fn";
    let name = words.next().filter(|_| is_fn)?;
    name.split(['(', '<']).next()
}

/// Every function of one file that is too long, and every exception that is none any more.
pub fn function_offences(path: &Path, source: &str, excepted: &mut Vec<String>) -> Vec<String> {
    if NOT_YET.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let mut offences = Vec::new();
    for (name, lines) in functions(source) {
        if lines <= FUNCTION_LINES_MAX {
            continue;
        }
        if LONGER.contains(&name.as_str()) {
            excepted.push(name);
        } else {
            let at = path.display();
            offences.push(format!(
                "{at}: fn {name} has {lines} lines, more than {FUNCTION_LINES_MAX}"
            ));
        }
    }
    offences
}

/// Exceptions nobody needs any more.
pub fn stale_exceptions(excepted: &[String]) -> Vec<String> {
    let is_stale = |name: &&&str| !excepted.iter().any(|used| used == **name);
    let stale = LONGER.iter().filter(is_stale);
    stale
        .map(|name| format!("fn {name} is short, and is still an exception"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_from_their_signature_to_their_brace() {
        let source = "\
fn a() {}
pub(super) const fn b<T>(
    x: T,
) -> T {
    x
}
trait C {
    fn d(&self);
    fn e(
        &self,
    );
    unsafe fn f() {
        loop {
        }
    }
}
type G = fn(u8);
const H: fn(u8) = |x| {
};
";
        let found = functions(source);
        let found: Vec<(&str, usize)> = found.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(found, [("a", 1), ("b", 5), ("d", 1), ("e", 3), ("f", 4)]);
    }

    #[test]
    fn a_planted_function_is_caught() {
        let body = "    x();\n".repeat(FUNCTION_LINES_MAX);
        let source = format!("fn a() {{\n{body}}}\n");
        let offences = |path| function_offences(Path::new(path), &source, &mut Vec::new()).len();
        assert_eq!(offences("src/a.rs"), 1);
        let source = source.replacen("    x();\n", "", 2);
        let offences = function_offences(Path::new("src/a.rs"), &source, &mut Vec::new());
        assert_eq!(offences, [""; 0]);
    }
}
