//! Every rule is shown a bad tree that it must find and a good one that it must leave alone.

use std::fs;

use super::*;

const OPENING: &str = "//! A file that says why it exists.\n";

/// The findings in a tree of these files, written to a real folder and read back.
fn findings(files: &[(&str, &str)], exceptions: &[Exception]) -> Vec<Finding> {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
        fs::write(path, text).expect("files can be written");
    }
    judge(&tree::read(root.path()).expect("the tree can be read"), exceptions)
}

fn rules(files: &[(&str, &str)]) -> Vec<(&'static str, usize)> {
    findings(files, &[]).iter().map(|found| (found.rule, found.line)).collect()
}

/// One file below an opening sentence: so its own first line is line 2.
fn code(path: &str, text: &str) -> Vec<(&'static str, usize)> {
    rules(&[(path, &format!("{OPENING}{text}"))])
}

#[test]
fn a_clean_tree_has_no_findings() {
    let files = [
        ("crates/store/Cargo.toml", "[dependencies]\nformat.workspace = true\n"),
        ("crates/store/src/lib.rs", "//! A file that says\n//! why it exists.\n\npub mod trunk;\n"),
        ("crates/store/src/trunk.rs", "//! What stays in memory for good.\n\nfn f() {}\n"),
        ("README.md", "# A page\n"),
        ("target/debug/x.rs", concat!("no opening, \t and TO", "DO\n")),
        (".git/x.md", "trailing \n"),
        ("demo/scripts/x.py", "trailing \n"),
        ("tests/fixtures/x.json", "trailing \n"),
    ];
    assert_eq!(rules(&files), [], "clean");
}

#[test]
fn files_open_with_a_sentence() {
    for bad in ["", "fn f() {}\n", "// why\n", "//! Short.\n", "\n//! One line too late for it.\n"]
    {
        assert_eq!(rules(&[("xtask/src/x.rs", bad)]), [("opening-sentence", 1)], "{bad:?}");
    }
    assert_eq!(rules(&[("xtask/src/x.rs", "//! It never comes to an end\n")]).len(), 1, "no stop");
    assert_eq!(code("xtask/src/x.rs", "fn f() {}\n"), [], "good");
}

#[test]
fn files_have_at_most_600_lines() {
    let long = |more: usize| format!("{OPENING}{}", "// a\n".repeat(more));
    let beside_short_ones = |text: &str| {
        let others = [("xtask/src/b.rs", OPENING), ("xtask/src/c.rs", OPENING)];
        rules(&[&[("xtask/src/a.rs", text)], &others[..]].concat())
    };
    assert_eq!(beside_short_ones(&long(599)), [], "600 lines");
    assert_eq!(beside_short_ones(&long(600)), [("file-length", 0)], "601 lines");
}

#[test]
fn functions_have_at_most_70_lines_outside_tests() {
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    a();\n".repeat(lines - 2));
    let marked = format!("#[test]\n{}", function(71));
    assert_eq!(code("crates/app/src/x.rs", &function(70)), [], "70 lines");
    assert_eq!(code("crates/app/src/x.rs", &function(71)), [("function-length", 2)], "71 lines");
    assert_eq!(code("crates/app/src/x.rs", &marked), [], "a test");
    assert_eq!(code("crates/app/tests/x.rs", &function(71)), [], "a file of tests");
}

#[test]
fn spaces_do_not_stray() {
    assert_eq!(code("xtask/src/x.rs", "fn f() {} \n"), [("stray-space", 2)], "at the end");
    assert_eq!(code("xtask/src/x.rs", "\tfn f() {}\n"), [("stray-space", 2)], "tab");
    assert_eq!(code("xtask/src/x.rs", "fn f() {}\r\n"), [("stray-space", 2)], "carriage return");
    assert_eq!(rules(&[("README.md", "a\tb\n\nc \n")]), [("stray-space", 3)], "tabs in prose");
}

#[test]
fn half_the_files_are_short() {
    let long = format!("{OPENING}{}", "// a\n".repeat(250));
    let files =
        [("xtask/src/a.rs", &*long), ("xtask/src/b.rs", &*long), ("xtask/src/c.rs", OPENING)];
    assert_eq!(rules(&files), [("median-length", 0)], "two of three are long");
}

#[test]
fn names_say_something() {
    assert_eq!(code("crates/app/src/utils.rs", ""), [("name", 0)], "file");
    assert_eq!(code("crates/app/src/common/run.rs", ""), [("name", 0)], "folder");
    let bad = [
        "mod helpers {}",
        "struct CacheManager;",
        "struct Context;",
        "trait TokenProcessor {}",
        "fn http_handler() {}",
        "type JsonWrapper = u8;",
        "enum DiskUtil {}",
    ];
    for bad in bad {
        assert_eq!(code("crates/app/src/x.rs", &format!("{bad}\n")), [("name", 2)], "{bad}");
    }
    for good in ["struct Uncommon;", "fn set() { ctrlc::set_handler(f); }", "enum E { Context }"] {
        assert_eq!(code("crates/app/src/x.rs", &format!("{good}\n")), [], "{good}");
    }
}

#[test]
fn rooms_do_not_say_the_words_of_others() {
    let cases = [
        ("store", "// the experts of a bank"),
        ("store", "fn f(token: u8) {}"),
        ("store", "struct LayerBank;"),
        ("store", "fn f() { \"Layer\" }"),
        ("kernels", "fn mix_experts() {}"),
        ("format", "// no mmap here"),
    ];
    for (room, text) in cases {
        let path = format!("crates/{room}/src/x.rs");
        assert_eq!(code(&path, &format!("{text}\n")), [("room-word", 2)], "{room}: {text}");
    }
    let said = code("crates/engine/src/lib.rs", "#![forbid(unsafe_code)]\n// println\n");
    assert_eq!(said, [("room-word", 3)], "engine");
    for good in ["// a player", "fn tokenize() {}", "// expertise", "mod relayer {}"] {
        assert_eq!(code("crates/store/src/x.rs", &format!("{good}\n")), [], "{good}");
    }
    assert_eq!(code("crates/store/tests/x.rs", "// a token\n"), [], "outside src");
    assert_eq!(code("crates/app/src/bench/x.rs", "// dequant\n"), [], "a free corner");
    assert_eq!(code("crates/app/src/run.rs", "// dequant\n"), [("room-word", 2)], "not free");
}

#[test]
fn roots_forbid_unsafe_code() {
    let forbid = "#![forbid(unsafe_code)]\n";
    for room in ["format", "gpu", "engine", "model"] {
        let path = format!("crates/{room}/src/lib.rs");
        assert_eq!(code(&path, ""), [("forbid-unsafe", 1)], "{room}");
        assert_eq!(code(&path, &format!("// {forbid}")).len(), 1, "{room}: in a comment");
        assert_eq!(code(&path, forbid), [], "{room}");
    }
    assert_eq!(code("crates/app/src/main.rs", ""), [("forbid-unsafe", 1)], "app");
    assert_eq!(code("crates/kernels/src/lib.rs", ""), [], "kernels fences it by file");
}

#[test]
fn dependencies_point_one_way() {
    let bad = [
        ("kernels", "[dependencies]\nformat.workspace = true\n", 2),
        ("engine", "[dependencies]\n\nmodel = { path = \"../model\" }\n", 3),
        ("store", "[dev-dependencies]\nengine.workspace = true\n", 2),
        ("format", "[dependencies.store]\npath = \"../store\"\n", 1),
        ("model", "[build-dependencies]\nflash-moe.workspace = true\n", 2),
        ("store", "[target.'cfg(unix)'.dependencies]\nmodel.workspace = true\n", 2),
        ("engine", "[dependencies]\nm = { path = \"../model\", package = \"model\" }\n", 2),
        ("app", "[dependencies]\nxtask.workspace = true\n", 2),
    ];
    for (room, text, line) in bad {
        let path = format!("crates/{room}/Cargo.toml");
        assert_eq!(rules(&[(&path, text)]), [("edge", line)], "{room}: {text}");
    }
    let good = [
        ("store", "[package]\nname = \"store\"\n[dependencies]\nformat.workspace = true\n"),
        (
            "app",
            "[dependencies]\nmodel.workspace = true\n[dev-dependencies]\nxtask.workspace = true\n",
        ),
        ("gpu", "[dev-dependencies]\nkernels.workspace = true\n"),
    ];
    for (room, text) in good {
        let path = format!("crates/{room}/Cargo.toml");
        assert_eq!(rules(&[(&path, text)]), [], "{room}");
    }
}

#[test]
fn the_app_names_the_model_in_one_file() {
    let bad = [
        "use model::Model;",
        "fn f() { model::open() }",
        "use model;",
        "use model as m;",
        "use ::model::x;",
    ];
    for bad in bad {
        let text = format!("{bad}\n");
        assert_eq!(code("crates/app/src/run.rs", &text), [("door", 2)], "{bad}");
        assert_eq!(code("crates/app/src/open.rs", &text), [], "{bad} in open.rs");
    }
    for good in
        ["fn f() { model.run() }", "use crate::model::X;", "format!(\"{}\", 1);", "// model::x"]
    {
        assert_eq!(code("crates/app/src/run.rs", &format!("{good}\n")), [], "{good}");
    }
    assert_eq!(code("crates/app/src/chat.rs", "use kernels::Cpu;\n"), [("door", 2)], "kernels");
    assert_eq!(code("crates/app/src/bench.rs", "use kernels::Cpu;\n"), [], "bench");
}

#[test]
fn nothing_is_left_unfinished() {
    for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
        assert_eq!(
            code("xtask/src/x.rs", &format!("// {word}: a\n")),
            [("unfinished", 2)],
            "{word}"
        );
        assert_eq!(rules(&[("README.md", word)]), [("unfinished", 1)], "{word} in a page");
    }
    for name in ["todo", "unimplemented"] {
        let text = format!("fn f() {{ {name}!() }}\n");
        assert_eq!(code("xtask/src/x.rs", &text), [("unfinished", 2)], "{name}");
    }
    assert_eq!(code("xtask/src/x.rs", "fn f() { todo.push(1) }\n"), [], "a list called todo");
}

#[test]
fn tests_are_not_ignored() {
    let text = "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n";
    assert_eq!(code("crates/app/tests/x.rs", text), [("ignored-test", 3)], "ignored");
    assert_eq!(code("crates/app/tests/x.rs", "fn ignore() {}\n"), [], "a name");
}

#[test]
fn unsafe_code_stays_behind_its_fence() {
    let text = "fn f() { unsafe { g() } }\n";
    assert_eq!(code("crates/store/src/trunk.rs", text), [("unsafe", 2)], "anywhere");
    assert_eq!(code("crates/store/src/trunk.rs", "// unsafe \"unsafe\"\n"), [], "in prose");
    let fence = [exception("unsafe", "crates/kernels/src/x86/*", "", 0)];
    let text = format!("{OPENING}{text}");
    let files = [("crates/kernels/src/x86/avx2.rs", &*text)];
    assert_eq!(findings(&files, &fence), [], "behind the fence");
}

#[test]
fn settings_do_not_come_from_the_environment() {
    for name in ["var", "var_os", "vars", "set_var"] {
        let text = format!("fn f() {{ std::env::{name}(\"X\") }}\n");
        assert_eq!(code("crates/app/src/x.rs", &text), [("environment", 2)], "{name}");
    }
    let good = "fn f() { (std::env::args(), env!(\"CARGO_MANIFEST_DIR\")) }\n";
    assert_eq!(code("crates/app/src/x.rs", good), [], "arguments");
}

#[test]
fn no_machine_is_named() {
    for path in [concat!("/wo", "rk/a"), concat!("/ho", "me/me"), concat!("..", "/shared/x")] {
        assert_eq!(rules(&[("README.md", path)]), [("machine-path", 1)], "{path}");
        assert_eq!(
            code("xtask/src/x.rs", &format!("// {path}\n")),
            [("machine-path", 2)],
            "{path}"
        );
    }
    assert_eq!(rules(&[("README.md", "a network/b homework\n")]), [], "words");
}

fn exception(
    rule: &'static str,
    path: &'static str,
    item: &'static str,
    limit: usize,
) -> Exception {
    Exception { rule, path, item, limit, reason: "because a test needs one" }
}

#[test]
fn exceptions_cover_and_must_be_tight() {
    let text = format!("{OPENING}fn f() {{\n{}}}\n", "    a();\n".repeat(78));
    let files = [("xtask/src/x.rs", &*text)];
    let with = |limit| {
        let exceptions = [exception("function-length", "xtask/src/x.rs", "f", limit)];
        findings(&files, &exceptions).iter().map(|f| f.what.clone()).collect::<Vec<_>>()
    };
    assert_eq!(with(80), [""; 0], "exact");
    assert_eq!(with(79), ["fn f has 80 lines; at most 70"], "grown");
    assert_eq!(with(120), ["the limit 120 can be lowered to 80"], "generous");
    let none = [exception("function-length", "xtask/src/x.rs", "g", 80)];
    let found = findings(&[("xtask/src/x.rs", OPENING)], &none);
    assert_eq!(found.len(), 1, "an exception that nothing needs: {found:?}");
    let silent =
        [Exception { reason: "", ..exception("function-length", "xtask/src/x.rs", "f", 80) }];
    assert_eq!(findings(&files, &silent).len(), 1, "an exception without a reason");
}

#[test]
fn findings_say_where_and_what() {
    let found = findings(&[("xtask/src/x.rs", &format!("{OPENING}fn f() {{}} \n"))], &[]);
    let line = found[0].to_string();
    assert_eq!(line, "xtask/src/x.rs:2: stray-space: space at the end of the line", "display");
}

#[test]
fn this_tree_is_tidy_enough_to_be_counted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let census = census(root).expect("the tree can be read");
    assert!(census.crates.iter().any(|(name, ..)| name == "xtask"), "{census:?}");
    assert!(census.median_lines > 0, "{census:?}");
}
