//! What is left out of the comparison, each under a name: what depends on the time, the process or the
//! connection, and an order that Redis does not promise.

use super::value::Value;

/// The replies of both answers as they are compared; `None` if one of them is not made of whole ones.
pub fn applied(rules: &[&str], one: &[u8], other: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let (mut one, mut other) = (Value::all(one)?, Value::all(other)?);
    for rule in rules {
        apply(rule, &mut one);
        apply(rule, &mut other);
    }
    let brief = |values: Vec<Value>| values.iter().map(Value::brief).collect();
    Some((brief(one), brief(other)))
}

fn apply(rule: &str, values: &mut [Value]) {
    let each = |values: &mut [Value], change: &mut dyn FnMut(&mut Value)| {
        for value in values {
            value.each(&mut |part| change(part));
        }
    };
    match rule {
        // The order of the elements, at every depth.
        "sorted" => {
            for value in values {
                sort(value);
            }
        }
        // The order of pairs in a flat array, which is what a map is in RESP2.
        "pairs" => {
            for value in values {
                if matches!(value.kind, b'*' | b'%') {
                    value.sort_pairs();
                }
            }
        }
        // Numbers of milliseconds or seconds since or until something: one of 1000 and more loses its
        // last three digits, which leaves what was asked for.
        "time" => each(values, &mut |value| {
            if let (b':', Some(text)) = (value.kind, &value.text) {
                let number: i64 = String::from_utf8_lossy(text).parse().unwrap_or(0);
                if number >= 1000 {
                    let rounded = (number + 500) / 10_000 * 10_000;
                    value.text = Some(format!("about {rounded}").into_bytes());
                }
            }
        }),
        // Integers of which only the sign means something: ids, sizes, times.
        "numbers" => each(values, &mut |value| {
            if let (b':' | b',', Some(text)) = (value.kind, &mut value.text) {
                let sign = if text.starts_with(b"-") { "-#" } else { "#" };
                *text = sign.into();
            }
        }),
        // Strings of which only that they are there means something.
        "texts" => each(values, &mut |value| {
            if let (b'$' | b'=' | b'+', Some(text)) = (value.kind, &mut value.text) {
                *text = b"#".to_vec();
            }
        }),
        // Digits in strings: addresses, ids, times within a line of text.
        "digits" => each(values, &mut |value| {
            if let (b'$' | b'=' | b'+' | b'-', Some(text)) = (value.kind, &mut value.text) {
                *text = without_digits(text);
            }
        }),
        // Whether something could be begun in the background, which depends on what goes on there.
        "background" => each(values, &mut |value| {
            if let (b'+' | b'-', Some(text)) = (value.kind, &mut value.text) {
                let text_of = String::from_utf8_lossy(text);
                if text_of
                    .trim_start_matches("ERR ")
                    .starts_with("Background ")
                {
                    *value = Value {
                        kind: b'+',
                        text: Some(b"Background".to_vec()),
                        items: Vec::new(),
                    };
                }
            }
        }),
        // Only the kind of the reply: a long report about one server.
        "kind" => {
            for value in values.iter_mut().filter(|value| value.kind != b'-') {
                value.text = value.text.take().map(|_| Vec::new());
                value.items.clear();
            }
        }
        // The names of a map or of a flat array of pairs, without what stands behind them.
        "names" => {
            for value in values {
                for pair in value.items.chunks_mut(2) {
                    if let [_, behind] = pair {
                        *behind = Value {
                            kind: behind.kind,
                            text: behind.text.take().map(|_| Vec::new()),
                            items: Vec::new(),
                        };
                    }
                }
                value.sort_pairs();
            }
        }
        // The names at the start of the words of a line, `name=value`: that of CLIENT LIST.
        "fields" => each(values, &mut |value| {
            if let (b'$' | b'=', Some(text)) = (value.kind, &mut value.text) {
                let line = String::from_utf8_lossy(text).into_owned();
                let names = line
                    .split(' ')
                    .map(|word| word.split('=').next().unwrap_or(word));
                *text = names.collect::<Vec<_>>().join(" ").into_bytes();
            }
        }),
        other => panic!("no rule is called {other:?}"),
    }
}

fn sort(value: &mut Value) {
    value.items.iter_mut().for_each(sort);
    value.sort();
}

fn without_digits(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in text {
        if !byte.is_ascii_digit() {
            out.push(byte);
        } else if out.last() != Some(&b'#') {
            out.push(b'#');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(rules: &[&str], text: &str) -> String {
        let (replies, _) = applied(rules, text.as_bytes(), b"").expect("whole replies");
        replies.join("\n")
    }

    #[test]
    fn each_rule_leaves_out_what_it_says_and_no_more() {
        for (rules, text, expected) in [
            (&["sorted"][..], "*2\r\n$1\r\nb\r\n$1\r\na\r\n", "*[$a $b]"),
            (
                &["pairs"],
                "*4\r\n+b\r\n:1\r\n+a\r\n:2\r\n",
                "*[+a :2 +b :1]",
            ),
            (
                &["time"],
                ":99990\r\n:-1\r\n:7\r\n",
                ":about 100000\n:-1\n:7",
            ),
            (&["numbers"], ":12\r\n:-3\r\n$1\r\n7\r\n", ":#\n:-#\n$7"),
            (&["texts"], "$3\r\nabc\r\n$-1\r\n:1\r\n", "$#\n$nil\n:1"),
            (&["digits"], "$6\r\nid=123\r\n", "$id=#"),
            (
                &["background"],
                "-ERR Background save\r\n-ERR x\r\n",
                "+Background\n-ERR x",
            ),
            (&["kind"], "*1\r\n:1\r\n_\r\n", "*\n_"),
            (&["names"], "%1\r\n+a\r\n*1\r\n:3\r\n", "%[+a *]"),
            (&["fields"], "$7\r\na=1 b=2\r\n", "$a b"),
        ] {
            assert_eq!(compared(rules, text), expected, "{rules:?} {text:?}");
        }
        assert_eq!(applied(&[], b"$3\r\nab", b""), None);
    }
}
