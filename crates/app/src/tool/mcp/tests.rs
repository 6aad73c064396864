//! Against servers that are scripts, good, dying, silent and talkative ones.

use std::path::Path;

use serde_json::json;

use super::super::declared::parse;
use super::super::sandbox::Applied;
use super::super::{Bounds, Sandbox};
use super::*;

/// Speaks the protocol line by line. The tool `echo` repeats its argument, `fail` says that it
/// failed, `die` ends the server, `hang` says nothing.
const SCRIPT: &str = r#"
sleep 1000 & echo $! > pids
setsid sleep 1000 & echo $! >> pids
while IFS= read -r line; do
  id=$(sed -n 's/.*"id":\([0-9]*\).*/\1/p' <<< "$line")
  case "$line" in
    *'"initialize"'*)
      version=$(sed -n 's/.*"protocolVersion":"\([^"]*\)".*/\1/p' <<< "$line")
      result='{"protocolVersion":"'"$version"'","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}';;
    *'"tools/list"'*)
      result='{"tools":[{"name":"echo","description":"Says it again","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}},{"name":"fail","inputSchema":{"type":"object"}},{"name":"die","inputSchema":{"type":"object"}},{"name":"hang","inputSchema":{"type":"object"}}]}';;
    *'"name":"echo"'*)
      text=$(sed -n 's/.*"text":"\([^"]*\)".*/\1/p' <<< "$line")
      result='{"content":[{"type":"text","text":"'"$text ${SECRET-none}"'"},{"type":"image","data":"","mimeType":"image/png"}]}';;
    *'"name":"fail"'*) result='{"content":[{"type":"text","text":"no luck"}],"isError":true}';;
    *'"name":"die"'*) exit 7;;
    *) continue;;
  esac
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

fn server(folder: &Path, script: &str, timeout_seconds: u64) -> Result<(Server, Offered), String> {
    std::fs::write(folder.join("server.sh"), script).expect("written");
    let text = format!(
        "[[mcp]]\nname = \"s\"\ncommand = \"bash\"\nargs = [\"server.sh\"]\ntimeout_seconds = {timeout_seconds}"
    );
    let declared = parse(&text).expect("good");
    let bounds = Bounds { sandbox: Sandbox::Off, ..Bounds::new(folder.to_owned()) };
    let sandbox = Applied::choose(&bounds, folder).expect("none");
    let place = Place { directory: folder.to_owned(), sandbox };
    Server::start(&declared.mcp[0], &place)
}

fn call(server: &mut Server, tool: &str, arguments: Value) -> Result<String, String> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    server.call(tool, &arguments, &AtomicBool::new(false))
}

#[test]
fn tools_are_listed_and_called() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (mut server, offered) = server(folder.path(), SCRIPT, 20).expect("it starts");
    let names: Vec<&str> = offered.iter().map(|(tool, _)| tool.name.as_str()).collect();
    assert_eq!(names, ["s__echo", "s__fail", "s__die", "s__hang"], "names");
    let (echo, own) = &offered[0];
    assert_eq!((own.as_str(), echo.description.as_str()), ("echo", "Says it again"), "told");
    assert_eq!(echo.parameters["properties"]["text"]["type"], "string", "schema");
    assert!(offered.iter().all(|(tool, _)| !tool.read_only), "none is trusted");
    let said = call(&mut server, "echo", json!({"text": "hello"}));
    assert_eq!(said, Ok("hello none\n[an image, left out]".to_owned()), "called");
    assert_eq!(call(&mut server, "fail", json!({})), Err("no luck".to_owned()), "its own error");
    let pids = std::fs::read_to_string(folder.path().join("pids")).expect("written");
    assert_eq!(pids.lines().count(), 2, "two children");
    drop(server);
    for pid in pids.lines() {
        assert!(!Path::new("/proc").join(pid).exists(), "{pid} outlived its server");
    }
}

#[test]
fn a_server_that_dies_is_an_error_and_stays_one() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (mut server, _) = server(folder.path(), SCRIPT, 20).expect("it starts");
    let why = call(&mut server, "die", json!({})).expect_err("dead");
    assert!(why.contains("ended with exit status 7"), "{why}");
    let why = call(&mut server, "echo", json!({"text": "x"})).expect_err("still dead");
    assert!(why.starts_with("mcp s: "), "{why}");
}

#[test]
fn a_server_that_hangs_costs_its_time_and_no_more() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (mut server, _) = server(folder.path(), SCRIPT, 2).expect("it starts");
    let begun = Instant::now();
    let why = call(&mut server, "hang", json!({})).expect_err("silent");
    assert!(why.contains("no answer within 2 s"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let cancelled =
        server.call("hang", &Map::new(), &AtomicBool::new(true)).expect_err("cancelled");
    assert!(cancelled.contains("ended by the user"), "{cancelled}");
    let said = call(&mut server, "echo", json!({"text": "x"})).expect("it goes on");
    assert!(said.starts_with("x none"), "{said}");
}

#[test]
fn what_is_no_server_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("temporary directory");
    for (script, why) in [
        ("exit 3", "exit status 3"),
        ("sleep 100", "no answer within 2 s"),
        ("head -c 1000000 /dev/zero", "mcp s: "),
        ("while true; do echo nonsense; done", "mcp s: "),
        ("while true; do echo '{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}'; done", "mcp s: "),
    ] {
        let told = server(folder.path(), script, 2).map(|_| ()).expect_err(script);
        assert!(told.contains(why), "{script}: {told}");
    }
    let declared = parse("[[mcp]]\nname = \"s\"\ncommand = \"/no/such/program\"").expect("good");
    let bounds = Bounds { sandbox: Sandbox::Off, ..Bounds::new(folder.path().to_owned()) };
    let sandbox = Applied::choose(&bounds, folder.path()).expect("none");
    let place = Place { directory: folder.path().to_owned(), sandbox };
    let told = Server::start(&declared.mcp[0], &place).map(|_| ()).expect_err("no program");
    assert!(told.contains("/no/such/program: No such file"), "{told}");
}
