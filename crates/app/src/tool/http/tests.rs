//! Against a server on this machine that says what it is told to.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers one connection after the other with these, then is gone. Returns its address.
fn server(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    format!("http://{address}")
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

#[test]
fn a_text_comes_back() {
    let url = server(vec![answer("200 OK", "", "žába".as_bytes())]);
    assert_eq!(get(&url, true, PATIENCE, 1000), Ok("žába".to_owned()), "whole");
}

#[test]
fn this_machine_is_refused_by_whatever_name() {
    let url = server(vec![answer("200 OK", "", b"secret")]);
    let port = url.rsplit(':').next().expect("a port");
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let url = format!("http://{host}:{port}/");
        let why = get(&url, false, PATIENCE, 1000).expect_err("refused");
        assert!(!why.contains("secret") && !why.contains('\n'), "{host}: {why}");
    }
    let why = get(&url, false, PATIENCE, 1000).expect_err("refused");
    assert!(why.contains("127.0.0.1 is 127.0.0.1, no public address"), "{why}");
}

/// The first address may be asked, the second may not: that is what a hostile page would do.
#[test]
fn every_hop_is_looked_at() {
    #[derive(Debug)]
    struct OnlyTheFirst(std::sync::atomic::AtomicU32, Looking);
    impl Resolver for OnlyTheFirst {
        fn resolve(
            &self,
            uri: &Uri,
            config: &ureq::config::Config,
            timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            match self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => self.1.inner.resolve(uri, config, timeout),
                _ => self.1.resolve(uri, config, timeout),
            }
        }
    }
    let inner = server(vec![answer("200 OK", "", b"secret")]);
    let outer = server(vec![answer("302 Found", &format!("Location: {inner}/x\r\n"), b"")]);
    let looking = Looking { inner: DefaultResolver::default(), private_addresses: false };
    let resolver = OnlyTheFirst(0.into(), looking);
    let agent =
        Agent::with_parts(Agent::config_builder().build(), DefaultConnector::default(), resolver);
    let why = agent.get(&outer).call().expect_err("the second hop").to_string();
    assert!(why.contains("no public address"), "{why}");
}

#[test]
fn redirects_are_followed_and_bounded() {
    let second = server(vec![answer("200 OK", "", b"there")]);
    let first = server(vec![answer("301 Moved", &format!("Location: {second}/\r\n"), b"")]);
    assert_eq!(get(&first, true, PATIENCE, 1000), Ok("there".to_owned()), "one hop");
    let round = answer("302 Found", "Location: /again\r\n", b"");
    let url = server(vec![round; 20]);
    let why = get(&url, true, PATIENCE, 1000).expect_err("round and round");
    assert!(why.contains("redirect"), "{why}");
    let file = server(vec![answer("302 Found", "Location: file:///etc/passwd\r\n", b"")]);
    let why = get(&file, true, PATIENCE, 1000).expect_err("another scheme");
    assert!(!why.contains("root:"), "{why}");
}

#[test]
fn what_is_too_long_too_slow_or_no_text_is_said() {
    let url = server(vec![answer("200 OK", "", "ž".repeat(500).as_bytes())]);
    let text = get(&url, true, PATIENCE, 101).expect("cut");
    assert_eq!(text, format!("{}\n[cut after 100 bytes]", "ž".repeat(50)), "no half character");
    let url = server(vec![answer("200 OK", "", b"\xFF\x00\x01")]);
    assert!(get(&url, true, PATIENCE, 1000).is_err_and(|why| why.contains("is no text")), "binary");
    let url = server(vec![answer("404 Not Found", "", b"no such page")]);
    let why = get(&url, true, PATIENCE, 1000).expect_err("status");
    assert!(why.contains("404 Not Found\nno such page"), "{why}");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let begun = std::time::Instant::now();
    let why = get(&url, true, Duration::from_millis(200), 1000).expect_err("silence");
    assert!(why.contains("timeout") && begun.elapsed() < PATIENCE, "{why}");
}

#[test]
fn other_schemes_are_refused() {
    for url in ["file:///etc/passwd", "ftp://x/", "", "http:/x", "gopher://x", "httpž://"] {
        assert!(
            get(url, true, PATIENCE, 10).is_err_and(|why| why.contains("accepted: http")),
            "{url}"
        );
    }
}
