//! The tool `http_get`: one text from the network, never from this machine's own neighbourhood.

mod address;

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Hops from one address to another.
const REDIRECTS_MAX: u32 = 5;
/// Of headers.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Fetches a text of at most `limit_bytes`; what is longer is cut, with a line that says so.
///
/// Names are looked up here and the answers looked at, so that neither a name that means this machine
/// nor a redirect leads where it must not.
///
/// # Errors
/// One line.
pub(super) fn get(
    url: &str,
    private_addresses: bool,
    timeout: Duration,
    limit_bytes: usize,
) -> Result<String, String> {
    if !(starts_with(url, "http://") || starts_with(url, "https://")) {
        return Err(format!("{url}: accepted: http:// and https://"));
    }
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(REDIRECTS_MAX)
        .max_response_header_size(HEADER_BYTES_MAX)
        .http_status_as_error(false)
        // Settings of the environment are none of ours.
        .proxy(None)
        .user_agent(concat!("flash-moe/", env!("CARGO_PKG_VERSION")))
        .build();
    let resolver = Looking { inner: DefaultResolver::default(), private_addresses };
    let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
    let mut answer = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let status = answer.status();
    let mut bytes = Vec::new();
    let read = answer.body_mut().as_reader().take(limit_bytes as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("{url}: {error}"))?;
    let cut = bytes.len() > limit_bytes;
    bytes.truncate(limit_bytes);
    let mut text = text(bytes, cut).ok_or_else(|| format!("{url}: is no text; accepted: UTF-8"))?;
    if cut {
        text.push_str(&format!("\n[cut after {} bytes]", text.len()));
    }
    if status.is_success() { Ok(text) } else { Err(format!("{url}: {status}\n{text}")) }
}

fn starts_with(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme))
}

/// Text, of which a last character may have been cut in two.
fn text(mut bytes: Vec<u8>, cut: bool) -> Option<String> {
    if let Err(error) = std::str::from_utf8(&bytes)
        && cut
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// A resolver that looks at what it found.
#[derive(Debug)]
struct Looking {
    inner: DefaultResolver,
    private_addresses: bool,
}

impl Resolver for Looking {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let refused = found.iter().find(|at| !address::is_public(at.ip()));
        match refused {
            Some(at) if !self.private_addresses => {
                let host = uri.host().unwrap_or_default();
                let why = format!("{host} is {}, no public address, which is refused", at.ip());
                Err(ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why)))
            }
            _ => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests;
