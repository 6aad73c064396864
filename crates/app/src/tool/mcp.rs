//! Servers of tools over stdio (the Model Context Protocol), each behind a guard like any command.
//!
//! The protocol's crate is asynchronous: a runtime of one thread lives here and nowhere else. From
//! outside every call blocks, ends when it is cancelled or takes too long, and a server that is gone
//! or silent is an error like any other.

use std::future::Future;
use std::io::Write as _;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, ResourceContents};
use rmcp::service::{Peer, RoleClient, RunningService, ServiceExt as _};
use serde_json::{Map, Value};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::runtime::{Builder, Runtime};

use super::Declaration;
use super::command::{self, Place};
use super::declared::{DeclaredServer, check_name, timeout};
use super::guard::Report;

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// For a server to introduce itself, where its declaration has no other time.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// A server with more tools than this fills every prompt.
const TOOLS_MAX: usize = 256;

/// A server that runs.
pub(super) struct Server {
    name: String,
    timeout: Duration,
    guard: Child,
    report: thread::JoinHandle<Option<Report>>,
    service: Option<RunningService<RoleClient, ()>>,
    /// Ends after the service, which lives in it.
    runtime: Background,
}

/// What a server has, each with the name that the server calls it.
pub(super) type Offered = Vec<(Declaration, String)>;

impl Server {
    /// Starts a server and asks what it has.
    ///
    /// # Errors
    /// One line: it cannot be started, does not speak the protocol, or says nothing in time.
    pub(super) fn start(
        declared: &DeclaredServer,
        place: &Place,
    ) -> Result<(Self, Offered), String> {
        let name = declared.name.clone();
        let at = |why: String| format!("mcp {name}: {why}");
        let timeout = timeout(declared.timeout_seconds).map_err(at)?.unwrap_or(TIMEOUT_DEFAULT);
        let (guard, mut pipes) = command::spawn(place, &declared.variables).map_err(at)?;
        let request = place.request(&declared.command, &declared.args, true, false);
        let mut line = serde_json::to_vec(&request).map_err(|error| at(error.to_string()))?;
        line.push(b'\n');
        let stderr = pipes.stderr;
        let report = thread::spawn(move || command::report(stderr));
        let runtime = Background::new().map_err(|error| at(error.to_string()))?;
        let mut server = Self { name, timeout, guard, report, service: None, runtime };
        let asked = pipes.stdin.write_all(&line).and_then(|()| pipes.stdin.flush());
        asked.map_err(|error| server.at(error))?;
        let served = {
            let _entered = server.runtime.inner.enter();
            let stdin = ChildStdin::from_std(pipes.stdin).map_err(|error| server.at(error))?;
            let stdout = ChildStdout::from_std(pipes.stdout).map_err(|error| server.at(error))?;
            let never = AtomicBool::new(false);
            server.runtime.wait(timeout, &never, ().serve((stdout, stdin)))
        };
        match served {
            Ok(Ok(service)) => server.service = Some(service),
            Ok(Err(error)) => return Err(server.ended(&error.to_string())),
            Err(why) => return Err(server.ended(&why)),
        }
        let offered = server.list()?;
        Ok((server, offered))
    }

    fn list(&mut self) -> Result<Offered, String> {
        let peer = self.peer()?;
        let listed = async move { peer.list_all_tools().await };
        let tools = match self.runtime.wait(self.timeout, &AtomicBool::new(false), listed) {
            Ok(Ok(tools)) => tools,
            Ok(Err(error)) => return Err(self.ended(&error.to_string())),
            Err(why) => return Err(self.ended(&why)),
        };
        if tools.len() > TOOLS_MAX {
            return Err(self.at(format!("{} tools; accepted: {TOOLS_MAX}", tools.len())));
        }
        let declared = tools.into_iter().map(|tool| {
            let name = format!("{}__{}", self.name, tool.name);
            check_name(&name).map_err(|why| self.at(why))?;
            let declaration = Declaration {
                name,
                description: tool.description.unwrap_or_default().into_owned(),
                parameters: Value::Object((*tool.input_schema).clone()),
                // What a server says of itself is no reason to trust it.
                read_only: false,
                origin: format!("mcp {}", self.name),
            };
            Ok((declaration, tool.name.into_owned()))
        });
        declared.collect()
    }

    /// # Errors
    /// What the tool says, or why it says nothing.
    pub(super) fn call(
        &mut self,
        tool: &str,
        arguments: &Map<String, Value>,
        cancel: &AtomicBool,
    ) -> Result<String, String> {
        let peer = self.peer()?;
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        let called = async move { peer.call_tool(request).await };
        match self.runtime.wait(self.timeout, cancel, called) {
            Ok(Ok(result)) => told(result),
            Ok(Err(error)) => Err(self.ended(&error.to_string())),
            Err(why) => Err(self.at(why)),
        }
    }

    fn peer(&self) -> Result<Peer<RoleClient>, String> {
        let service = self.service.as_ref().ok_or_else(|| self.at("it does not run"))?;
        Ok(service.peer().clone())
    }

    fn at(&self, why: impl std::fmt::Display) -> String {
        format!("mcp {}: {why}", self.name)
    }

    /// What went wrong, and how the server ended, if it did.
    fn ended(&mut self, why: &str) -> String {
        // Its end and our hearing of it are two things.
        let deadline = Instant::now() + Duration::from_millis(200);
        while !self.report.is_finished() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        if !self.report.is_finished() {
            return self.at(why);
        }
        let report = std::mem::replace(&mut self.report, thread::spawn(|| None)).join();
        match report.ok().flatten() {
            Some(Report { error: Some(error), .. }) => self.at(error),
            Some(Report { exit: Some(exit), .. }) => {
                self.at(format!("the server ended with exit status {exit} ({why})"))
            }
            _ => self.at(format!("the server ended ({why})")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.service = None;
        command::stop(&self.guard);
        let deadline = Instant::now() + command::GRACE;
        while matches!(self.guard.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        // One that did not listen; what is gone already cannot be ended.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// A runtime whose one thread works as long as this lives.
struct Background {
    inner: tokio::runtime::Handle,
    /// Dropped to end the thread.
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Background {
    fn new() -> std::io::Result<Self> {
        let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
        let inner = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        thread::Builder::new().name("mcp".to_owned()).spawn(move || {
            // An error means that the other end is gone, which is what we wait for.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { inner, _stop: stop })
    }

    /// Waits for work, but not for ever.
    fn wait<T: Send + 'static>(
        &self,
        timeout: Duration,
        cancel: &AtomicBool,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, String> {
        let (done, finished) = mpsc::channel();
        let task = self.inner.spawn(async move {
            // Nobody listens after a time limit or a cancel.
            let _ = done.send(work.await);
        });
        let deadline = Instant::now() + timeout;
        loop {
            match finished.recv_timeout(LOOK_EVERY) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Disconnected) => return Err("the call broke".to_owned()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let why = if cancel.load(Ordering::Relaxed) {
                "ended by the user".to_owned()
            } else if Instant::now() >= deadline {
                format!("no answer within {} s", timeout.as_secs_f64())
            } else {
                continue;
            };
            task.abort();
            return Err(why);
        }
    }
}

/// Texts as they are; of what is none, that it is there.
fn told(result: CallToolResult) -> Result<String, String> {
    let texts = result.content.into_iter().map(|block| match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Resource(inner) => match inner.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            _ => "[a resource that is no text, left out]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[a resource: {}]", link.uri),
        ContentBlock::Image(_) => "[an image, left out]".to_owned(),
        ContentBlock::Audio(_) => "[a sound, left out]".to_owned(),
        _ => "[something of an unknown kind, left out]".to_owned(),
    });
    let mut text = texts.collect::<Vec<String>>().join("\n");
    if let Some(value) = result.structured_content.filter(|_| text.is_empty()) {
        text = value.to_string();
    }
    if result.is_error == Some(true) { Err(text) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
