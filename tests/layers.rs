//! Imports run one way, as `src/lib.rs` says. This test reads the `use` lines and every path that begins with `crate::`.
#![allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each layer may import of this crate. Not listed here: `main.rs` and `wiring`, which may import all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ports", &["domain"]),
    ("commission", &["ports", "domain"]),
    ("adapters", &["ports", "domain"]),
    ("sandbox", &["domain"]),
    ("app", &["commission", "ports", "domain"]),
    ("cli", &["app", "commission", "ports", "domain"]),
    ("ui", &["app", "commission", "ports", "domain"]),
];

/// Crates that only the named layers may name, because they reach the world or draw.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("espflash", &["adapters"]),
    // The imitated board takes one end of a line where there are no pseudo-terminals.
    ("serialport", &["adapters", "sandbox"]),
    ("aws_config", &["adapters"]),
    ("aws_sdk_", &["adapters"]),
    ("rumqttc", &["adapters", "sandbox"]),
    ("rusqlite", &["adapters"]),
    ("rcgen", &["adapters", "sandbox"]),
    ("axum", &["sandbox"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("egui", &["ui"]),
    ("eframe", &["ui"]),
    ("rfd", &["ui"]),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments and without its tests, which may use any layer.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "fakes")
        || path
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem == "fakes" || stem.to_string_lossy().ends_with("_tests"))
}

/// Advice is shown in the window too, where nobody types options or commands.
#[test]
fn no_advice_outside_the_terminal_names_an_option_or_a_command() {
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for layer in ["domain", "ports", "commission", "adapters", "app"] {
        let mut files = Vec::new();
        rust_files(Path::new(&format!("src/{layer}")), &mut files);
        for file in files.iter().filter(|file| !is_test_file(file)) {
            looked_at += 1;
            let code = code(file);
            for (number, line) in code.lines().enumerate() {
                let words = line.contains("`coldbench ") || line.contains("with --") || line.contains(" --baud");
                let previous = code.lines().nth(number.saturating_sub(1)).unwrap_or_default();
                let is_terminal = |line: &str| line.contains("in_terminal") || line.contains("terminal");
                if words && !is_terminal(line) && !is_terminal(previous) {
                    wrong.push(format!("{}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    assert!(looked_at > 50, "{looked_at} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_layer_imports_only_what_the_plan_allows() {
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for (layer, allowed) in MAY_IMPORT {
        let mut files = Vec::new();
        rust_files(Path::new(&format!("src/{layer}")), &mut files);
        for file in files.iter().filter(|file| !is_test_file(file)) {
            looked_at += 1;
            let code = code(file);
            for part in code.split("crate::").skip(1) {
                let names: Vec<&str> = match part.strip_prefix('{') {
                    Some(list) => list
                        .split('}')
                        .next()
                        .unwrap_or_default()
                        .split(',')
                        .map(|name| name.trim().split("::").next().unwrap_or_default())
                        .filter(|name| LAYERS.contains(name))
                        .collect(),
                    None => vec![part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()],
                };
                for name in names {
                    if LAYERS.contains(&name) && name != *layer && !allowed.contains(&name) {
                        wrong.push(format!("{} imports {name}", file.display()));
                    }
                }
            }
            for (owned, owners) in OWNED_CRATES {
                let named = code.lines().any(|line| {
                    let line = line.trim_start();
                    line.starts_with(&format!("use {owned}")) || line.contains(&format!(" {owned}::"))
                });
                if named && !owners.contains(layer) {
                    wrong.push(format!("{} names {owned}", file.display()));
                }
            }
        }
    }
    assert!(looked_at > 20, "only {looked_at} files were looked at: has the tree moved?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const LAYERS: &[&str] = &["domain", "ports", "commission", "adapters", "sandbox", "app", "cli", "ui", "wiring"];

#[test]
fn only_the_wiring_starts_the_sandbox() {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    for file in files {
        let path = file.to_string_lossy().replace('\\', "/");
        if path.starts_with("src/sandbox")
            || path.starts_with("src/wiring")
            || path == "src/main.rs"
            || is_test_file(&file)
        {
            continue;
        }
        assert!(!code(&file).contains("crate::sandbox"), "{path} reaches the sandbox without a wire");
    }
}
