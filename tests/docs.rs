//! The configurations shown in the pages and those under conf/ are accepted by `nutcrab -t`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The blocks of a Markdown page that are marked as YAML.
fn yaml_blocks(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```yaml\n").skip(1);
    let ended = blocks.map(|block| block.split("\n```").next().unwrap_or(block));
    ended.collect()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).map_or(Vec::new(), Iterator::collect);
    let paths = entries
        .into_iter()
        .map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect()
}

/// What `nutcrab -t` says of a configuration file, if it refuses it.
fn refusal(file: &Path) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nutcrab"));
    let output = command
        .arg("-t")
        .arg("-c")
        .arg(file)
        .output()
        .expect("nutcrab runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(text)
}

#[test]
fn examples_under_conf_are_accepted() {
    let files = files("conf", "yml");
    assert!(files.len() >= 3, "conf holds the examples: {files:?}");
    for file in files {
        assert_eq!(refusal(&file), None, "{}", file.display());
    }
}

#[test]
fn examples_in_pages_are_accepted() {
    let scratch = tempfile::tempdir().expect("a directory can be made");
    let mut count = 0;
    for page in files(".", "md").into_iter().chain(files("docs", "md")) {
        let text = std::fs::read_to_string(&page).expect("a page can be read");
        for block in yaml_blocks(&text) {
            let file = scratch.path().join(format!("{count}.yml"));
            std::fs::write(&file, format!("{block}\n")).expect("a file can be written");
            assert_eq!(refusal(&file), None, "{}:\n{block}", page.display());
            count += 1;
        }
    }
    assert!(count >= 1, "the README shows a configuration");
}

#[test]
fn a_mistake_is_refused() {
    let page = "a\n\n```yaml\nalpha:\n  listen: 1\n```\n\nb\n\n```yaml\nbeta:\n  hsh: md5\n```\n";
    let blocks = yaml_blocks(page);
    assert_eq!(blocks, ["alpha:\n  listen: 1", "beta:\n  hsh: md5"]);
    let scratch = tempfile::tempdir().expect("a directory can be made");
    let file = scratch.path().join("mistake.yml");
    std::fs::write(&file, blocks[1]).expect("a file can be written");
    let text = refusal(&file).expect("there is no key called hsh");
    assert!(text.contains("hsh"), "{text}");
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(path).expect("a page can be read");
    // Lines are broken anywhere.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `nutcrab -t` says of a configuration that it accepts.
fn accepted(configuration: &str) -> String {
    let scratch = tempfile::tempdir().expect("a directory can be made");
    let file = scratch.path().join("claim.yml");
    std::fs::write(&file, configuration).expect("a file can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nutcrab"));
    let output = command.arg("-t").arg("-c").arg(&file).output();
    let output = output.expect("nutcrab runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{configuration}: {text}");
    text
}

#[test]
fn what_pages_say_of_flow_style_holds() {
    let said = "Flow style (`{}`, `[]`), `---` and `...` are accepted; twemproxy refuses a file";
    assert!(page("docs/configuration.md").contains(said));
    for flow in [
        "a: {listen: 127.0.0.1:1, servers: [127.0.0.1:2:1]}\n",
        "a:\n  listen: 127.0.0.1:1\n  servers: [127.0.0.1:2:1]\n",
        "---\na:\n  listen: 127.0.0.1:1\n  servers:\n   - 127.0.0.1:2:1\n",
    ] {
        let told = accepted(flow);
        assert!(told.contains("accepted, but twemproxy refuses "), "{told}");
    }
    let block = "a:\n  listen: 127.0.0.1:1\n  servers:\n   - 127.0.0.1:2:1\n";
    assert!(!accepted(block).contains("twemproxy"));
}

#[test]
fn what_pages_say_of_memcached_pools_holds() {
    let security = page("SECURITY.md");
    assert!(!security.contains("memcached pools have no authentication"));
    assert!(security.contains("`memcached_auth` is one user and password for a memcached pool"));
    let pool = "a:\n  listen: 127.0.0.1:1\n  servers:\n   - 127.0.0.1:2:1\n";
    accepted(&format!("{pool}  memcached_auth: 'tom:secret'\n"));
    // What `redis: false` means, in the words of the page on what works.
    let keys = page("docs/configuration.md");
    let redis = keys
        .split("### `redis` ")
        .nth(1)
        .expect("the key has a section");
    let redis = redis.split("### ").next().expect("a section");
    for spoken in ["text", "meta", "binary"] {
        assert!(redis.contains(spoken), "{redis}");
        assert!(page("docs/compatibility.md").contains(spoken));
    }
}

#[test]
fn metrics_are_in_the_unit_of_their_names() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md"));
    let text = text.expect("a page can be read");
    let rows = text.lines().filter(|line| line.starts_with("| `nutcrab_"));
    let in_seconds: Vec<&str> = rows.filter(|row| row.contains("_seconds`")).collect();
    assert!(in_seconds.len() >= 4, "{in_seconds:?}");
    for row in in_seconds {
        let other = ["usec", "msec", "microsecond", "millisecond"];
        assert!(!other.iter().any(|unit| row.contains(unit)), "{row}");
    }
}

#[test]
fn the_figure_of_faults_with_a_test_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = std::fs::read_to_string(path).expect("a page can be read");
    let is_id = |cell: &str| {
        cell.strip_prefix(['R', 'B', 'C', 'O', 'T'])
            .is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let lines = text.lines().map(cells);
    let rows: Vec<Vec<String>> = lines
        .filter(|cells: &Vec<String>| cells.len() == 3 && is_id(&cells[0]))
        .collect();
    let tested = rows
        .iter()
        .filter(|cells| !cells[2].starts_with("not yet: "))
        .count();
    let figure = format!(
        "| kinds of faults and attacks with a test | {tested} of {} |",
        rows.len()
    );
    assert!(rows.len() > 100 && text.contains(&figure), "{figure}");
}

#[test]
fn changed_defaults_name_keys_that_exist_on_both_pages() {
    let keys: Vec<String> = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md"),
    )
    .expect("a page can be read")
    .lines()
    .filter_map(|line| Some(line.strip_prefix("### `")?.strip_suffix('`')?.to_owned()))
    .collect();
    // `key` and `key: value`; names with an underscore are nothing but keys there.
    let named = |text: &str| -> std::collections::BTreeSet<String> {
        let quoted = text.split('`').skip(1).step_by(2);
        let names = quoted.map(|name| name.split(':').next().unwrap_or(name).to_owned());
        names
            .filter(|name| name.contains('_') && !name.contains('|'))
            .collect()
    };
    let migration = page("docs/migration.md");
    let migration = migration
        .split("## Changed defaults")
        .nth(1)
        .expect("the section");
    let migration = named(migration.split("## ").next().unwrap_or_default());
    let log = page("CHANGELOG.md");
    let log = log.split("Changed defaults").nth(1).expect("the section");
    let log = named(log.split("Further:").next().unwrap_or_default());
    assert!(log.len() >= 10, "{log:?}");
    let unknown: Vec<_> = migration
        .iter()
        .filter(|name| !keys.contains(name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let missing: Vec<_> = log
        .iter()
        .filter(|name| keys.contains(name) && !migration.contains(*name))
        .collect();
    assert!(missing.is_empty(), "not in docs/migration.md: {missing:?}");
    let missing: Vec<_> = migration.difference(&log).collect();
    assert!(missing.is_empty(), "not in CHANGELOG.md: {missing:?}");
}
