//! What runs, what it may see, and that nothing of it stays.

use super::*;

fn bash(toolbox: &mut Toolbox, command: &str) -> Outcome {
    call(toolbox, "bash", json!({"command": command}))
}

fn alive(pid: &str) -> bool {
    // A dead process that nobody buried yet is still in the table.
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
fn output_and_status_come_back() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut tools = toolbox(&["bash"], bounds(folder.path()));
    let outcome = bash(&mut tools, "echo one; echo two >&2; pwd");
    let place = folder.path().canonicalize().expect("there");
    let wanted = format!("one\ntwo\n{}\n", place.display());
    assert_eq!((outcome.failed, outcome.text), (false, wanted), "both streams, in order");
    let failed = bash(&mut tools, "echo oh; exit 3");
    assert_eq!(
        (failed.failed, failed.text.as_str()),
        (true, "error: exit status 3\noh\n"),
        "status"
    );
    let killed = bash(&mut tools, "kill -9 $$");
    assert_eq!(killed.text, "error: ended by signal 9", "signal");
    let nothing = bash(&mut tools, "cat; tty; echo $TERM");
    assert!(nothing.text.contains("not a tty\ndumb"), "stdin is at its end: {nothing:?}");
    let terminal = bash(&mut tools, "echo x > /dev/tty");
    assert!(terminal.failed && terminal.text.contains("/dev/tty"), "no terminal: {terminal:?}");
}

#[test]
fn no_secret_of_ours_is_seen() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut tools = toolbox(&["bash"], bounds(folder.path()));
    // Cargo sets this for every test, as a shell sets the keys of its user.
    let known = std::env::vars_os().any(|(name, _)| name == "CARGO_PKG_NAME");
    assert!(known, "cargo sets CARGO_PKG_NAME for tests");
    let outcome =
        bash(&mut tools, "env; cat /proc/self/environ /proc/$PPID/environ | tr '\\0' '\\n'");
    assert!(!outcome.failed && outcome.text.contains("PATH="), "{outcome:?}");
    assert!(!outcome.text.contains("CARGO_"), "neither itself nor its guard: {}", outcome.text);
}

#[test]
fn nothing_outlives_a_call() {
    if !cfg!(target_os = "linux") {
        println!("SKIP descendants: only Linux finds those that left their group");
        return;
    }
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut tools = toolbox(&["bash"], bounds(folder.path()));
    for (how, command) in [
        ("in the background", "sleep 1000 & echo $! >pid; disown"),
        (
            "in a session of its own",
            "setsid bash -c 'echo $$ >pid; exec sleep 1000' & \
             while [ ! -s pid ]; do sleep 0.01; done",
        ),
        (
            "twice removed",
            "setsid bash -c 'trap \"\" TERM HUP INT; (setsid sleep 1000 & echo $! >pid; wait)' & \
             while [ ! -s pid ]; do sleep 0.01; done",
        ),
        ("holding the output", "nohup sleep 1000 & echo $! >pid"),
    ] {
        let pid = folder.path().join("pid");
        let _ = std::fs::remove_file(&pid);
        let begun = Instant::now();
        let outcome = bash(&mut tools, command);
        assert!(!outcome.failed, "{how}: {outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{how}: {:?}", begun.elapsed());
        let pid = std::fs::read_to_string(pid).expect("written");
        assert!(!pid.trim().is_empty() && !alive(&pid), "{how}: {pid} lives on");
    }
}

#[test]
fn a_call_ends_in_time_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut tools = toolbox(&["bash"], bounds(folder.path()));
    let command = "trap '' TERM INT; sleep 1000 & echo $! >pid; echo begun; sleep 1000";
    let arguments = json!({"command": command, "timeout_seconds": 1});
    let outcome = call(&mut tools, "bash", arguments);
    assert_eq!(outcome.text, "error: ended after 1 s, its time limit\nbegun\n", "told");
    assert!(outcome.took < Duration::from_secs(15), "{:?}", outcome.took);
    let pid = std::fs::read_to_string(folder.path().join("pid")).expect("written");
    assert!(!alive(&pid), "{pid} lives on");
}

#[test]
fn a_call_ends_when_the_user_says_so() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut tools = toolbox(&["bash"], bounds(folder.path()));
    let arguments = json!({"command": "echo begun; touch begun; sleep 1000"});
    let arguments = arguments.as_object().cloned().expect("an object");
    let cancel = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let called = scope.spawn(|| tools.call("bash", &arguments, &cancel));
        while !folder.path().join("begun").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        called.join().expect("no panic")
    });
    assert_eq!(outcome.text, "error: ended by the user\nbegun\n", "told");
}

#[test]
fn a_flood_is_bounded_at_both_ends() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let bounds = Bounds { result_bytes: 2000, ..bounds(folder.path()) };
    let mut tools = toolbox(&["bash"], bounds);
    let outcome =
        bash(&mut tools, "echo begin; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo end");
    assert!(!outcome.failed && outcome.text.len() < 2200, "{} bytes", outcome.text.len());
    assert!(outcome.text.starts_with("begin\nxxx") && outcome.text.ends_with("xxx\nend\n"), "ends");
    assert!(outcome.text.contains("bytes left out"), "told");
    let endless = call(&mut tools, "bash", json!({"command": "yes", "timeout_seconds": 1}));
    assert!(endless.failed && endless.text.len() < 2300, "{} bytes", endless.text.len());
}

#[test]
fn declared_commands_run_without_a_shell() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = folder.path().join("tools.toml");
    let text = r#"
        [[tool]]
        name = "say"
        description = "Prints its arguments"
        command = ["printf", "<%s>", "{text}", "{more}"]
        read_only = true
        parameters = { type = "object", properties = { text = { type = "string" }, more = {} } }
        [[tool]]
        name = "take"
        description = "Prints its input"
        command = ["cat"]
        input = "json"
        [[tool]]
        name = "slow"
        description = "Takes its time"
        command = ["sleep", "1000"]
        timeout_seconds = 1
        [[tool]]
        name = "none"
        description = "Is not there"
        command = ["/no/such/program"]
    "#;
    std::fs::write(&file, text).expect("written");
    let mut tools = toolbox(&[file.to_str().expect("text"), "bash"], bounds(folder.path()));
    let say = tools.find("say").expect("declared");
    assert!(say.read_only && say.origin.ends_with("tools.toml"), "{say:?}");
    let said = call(&mut tools, "say", json!({"text": "$(id); `id` * \n'"}));
    assert_eq!(said.text, "<$(id); `id` * \n'>", "as it was given");
    let taken = call(&mut tools, "take", json!({"a": [1, "é"]}));
    assert_eq!(taken.text, "{\"a\":[1,\"é\"]}", "JSON on stdin");
    let large = call(&mut tools, "take", json!({"a": "x".repeat(1 << 20)}));
    assert!(!large.failed && large.text.contains("bytes left out"), "more than a pipe holds");
    let slow = call(&mut tools, "slow", json!({}));
    assert!(slow.failed && slow.text.contains("ended after 1 s"), "{slow:?}");
    let none = call(&mut tools, "none", json!({}));
    assert!(none.failed && none.text.contains("/no/such/program: No such file"), "{none:?}");
}
