//! What is promised of a sandbox holds, in each of those that this machine has.

use super::*;

/// A directory that is not below the one for temporary files, where everybody may write.
fn elsewhere() -> tempfile::TempDir {
    let test = std::env::current_exe().expect("this test");
    let beside = test.parent().expect("a directory");
    let open = std::env::temp_dir();
    let places = [beside, Path::new("/var/tmp"), Path::new("/dev/shm")];
    let place = places.into_iter().find(|place| !place.starts_with(&open)).expect("one of them");
    tempfile::tempdir_in(place).expect("temporary directory")
}

fn in_each(test: impl Fn(&mut Toolbox, &Path)) {
    let mut tried = 0;
    for sandbox in [Sandbox::Landlock, Sandbox::Bubblewrap] {
        let folder = elsewhere();
        std::fs::create_dir(folder.path().join("inside")).expect("made");
        let inside = folder.path().join("inside");
        let wish = Bounds { sandbox, ..bounds(&inside) };
        match Toolbox::open(&["bash".to_owned()], wish) {
            Err(why) => println!("SKIP {sandbox:?}: {why:?}"),
            Ok(mut tools) => {
                tried += 1;
                test(&mut tools, folder.path());
            }
        }
    }
    println!("{tried} sandboxes tried");
}

fn bash(toolbox: &mut Toolbox, command: &str) -> Outcome {
    call(toolbox, "bash", json!({"command": command}))
}

#[test]
fn writes_stay_inside() {
    in_each(|tools, folder| {
        let by = tools.in_force();
        let inside = bash(
            tools,
            "echo x > a && mkdir d && mv a d/b && cat d/b && rm -r d; echo > /dev/null",
        );
        assert_eq!(inside.text, "x\n", "{by}");
        let temporary = bash(tools, "f=$(mktemp) && echo y > $f && cat $f && rm $f");
        assert_eq!(temporary.text, "y\n", "{by}");
        let before = std::fs::write(folder.join("kept"), "kept");
        before.expect("written from outside");
        for command in [
            "echo x > ../out",
            "touch ../kept2",
            "echo x >> ../kept",
            "rm ../kept",
            "mv ../kept .",
            "ln -s ../kept link && echo x > link",
            "mkdir ../dir",
            "truncate -s 0 ../kept",
        ] {
            let outcome = bash(tools, command);
            assert!(outcome.failed, "{by}: {command}: {outcome:?}");
        }
        let kept = std::fs::read_to_string(folder.join("kept")).expect("there");
        assert_eq!(kept, "kept", "{by}: untouched");
        let names = std::fs::read_dir(folder).expect("listed").count();
        assert_eq!(names, 2, "{by}: inside and kept");
        let reads = bash(tools, "cat ../kept");
        assert_eq!(reads.text, "kept", "{by}: reading is open");
    });
}

#[test]
fn the_network_is_shut() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let command = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo through");
    in_each(|tools, _| {
        let outcome = bash(tools, &command);
        let by = tools.in_force();
        assert!(outcome.failed && !outcome.text.contains("through"), "{by}: {outcome:?}");
        assert!(by.contains("network: refused") || by.contains("network: none"), "{by}");
    });
    let folder = elsewhere();
    let open = Bounds { sandbox: Sandbox::Landlock, network: true, ..bounds(folder.path()) };
    match Toolbox::open(&["bash".to_owned()], open) {
        Err(why) => println!("SKIP landlock: {why:?}"),
        Ok(mut tools) => {
            assert_eq!(bash(&mut tools, &command).text, "through\n", "where it was allowed");
            assert!(tools.in_force().ends_with("network: open"), "{}", tools.in_force());
        }
    }
}

#[test]
fn processes_outside_are_out_of_reach() {
    in_each(|tools, _| {
        let by = tools.in_force();
        let own = std::process::id();
        let spied = bash(tools, &format!("cat /proc/{own}/environ | tr '\\0' '\\n'"));
        assert!(!spied.text.contains("CARGO_"), "{by}: our environment was read");
        let guard = bash(tools, "kill -9 $PPID; sleep 0.2; echo still here");
        let gone = guard.text.contains("guard was ended");
        assert!(!gone, "{by}: the guard was killed: {guard:?}");
    });
}

#[test]
fn what_is_in_force_is_said() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let off = toolbox(&["bash"], bounds(folder.path()));
    assert!(off.in_force().starts_with("no sandbox: commands may do what you may"), "off");
    let auto = toolbox(&["bash"], Bounds { sandbox: Sandbox::Auto, ..bounds(folder.path()) });
    let line = auto.in_force();
    assert!(line.contains("writes only below") || line.starts_with("no sandbox"), "{line}");
}
