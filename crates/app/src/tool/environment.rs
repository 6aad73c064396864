//! What a command may know of our environment: a short list of names, none of which holds a secret.

use std::ffi::OsString;

/// Without these hardly a program runs.
const NAMES: [&str; 6] = ["PATH", "HOME", "LANG", "TMPDIR", "USER", "LOGNAME"];
/// The parts of a locale.
const LOCALE: &str = "LC_";

/// The variables of a command, and those that its declaration names besides.
pub(super) fn allowed(besides: &[String]) -> Vec<(OsString, OsString)> {
    let mut kept = filtered(std::env::vars_os(), besides);
    // Programs that ask for colours and cursors must not believe in a terminal.
    kept.push(("TERM".into(), "dumb".into()));
    kept
}

fn filtered(
    all: impl Iterator<Item = (OsString, OsString)>,
    besides: &[String],
) -> Vec<(OsString, OsString)> {
    all.filter(|(name, _)| {
        let Some(name) = name.to_str() else { return false };
        NAMES.contains(&name) || name.starts_with(LOCALE) || besides.iter().any(|also| also == name)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_behind() {
        let names = ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "HOME", "LD_PRELOAD", "TERM", "MY"];
        let all = names.map(|name| (name.into(), "x".into()));
        let kept = |besides: &[String]| -> Vec<OsString> {
            filtered(all.clone().into_iter(), besides).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(kept(&[]), ["PATH", "LC_ALL", "HOME"], "by default");
        let besides = ["MY".to_owned()];
        assert_eq!(kept(&besides), ["PATH", "LC_ALL", "HOME", "MY"], "with one that was named");
    }
}
