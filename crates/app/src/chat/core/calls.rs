//! Calls of tools: shown, asked about, run, and answered, whatever comes of them.

use std::sync::atomic::Ordering;

use engine::{CallEvent, Forward, ToolCall, tool_message};

use super::Core;
use crate::chat::wire::{Decision, Order, Told};
use crate::saved::{Message, Role};
use crate::tool::{escaped, shortened, shown};

/// Of what a call gave, this much is shown; the model gets all of it.
const SHOWN_CHARS: usize = 4000;

/// What a call came to: the text for the model, and whether it failed.
struct Came {
    text: String,
    failed: bool,
}

impl Came {
    fn not(why: &str) -> Self {
        Self { text: format!("error: {why}"), failed: true }
    }
}

impl<F: Forward> Core<F> {
    /// Answers calls in their order. Returns whether the model shall go on; `more` says whether it
    /// may.
    pub(super) fn answered(&mut self, calls: Vec<CallEvent>, more: bool) -> bool {
        let mut goes_on = more;
        for event in calls {
            match event {
                CallEvent::Call(call) => {
                    let came = if more { self.call(&call) } else { Came::not("too many calls") };
                    self.came(&call.name, came);
                }
                CallEvent::Malformed(bad) => self.came("call", Came::not(&bad.error)),
                CallEvent::Cut { .. } => {
                    let why = "a call was cut off by the limit of tokens; it was not run";
                    self.tell(Told::Wrong(why.to_owned()));
                    goes_on = false;
                }
                CallEvent::Text(_) | CallEvent::Began => {}
            }
        }
        if !more {
            let rounds = self.kit.as_ref().map_or(0, |kit| kit.rounds_max);
            let why = format!("{rounds} rounds of calls, the most for one message (--tool-rounds)");
            self.tell(Told::Wrong(why));
        }
        goes_on && !self.cancel.load(Ordering::Relaxed)
    }

    fn call(&mut self, call: &ToolCall) -> Came {
        if self.cancel.load(Ordering::Relaxed) {
            return Came::not("the user stopped it");
        }
        let Some(kit) = &self.kit else { return Came::not("there are no tools") };
        let declaration = kit.toolbox.find(&call.name).cloned();
        let Some(declaration) = declaration else { return Came::not("there is no such tool") };
        let ask = kit.policy.asks(&declaration);
        let tool = escaped(&call.name);
        self.tell(Told::Call { tool, shown: shown(&call.name, &call.arguments), ask });
        if ask {
            let decision = self.decision();
            let allowed = match &mut self.kit {
                Some(kit) => kit.policy.decide(&declaration, decision),
                None => false,
            };
            if !allowed {
                return Came::not("the user refused this call");
            }
        }
        let Some(kit) = &mut self.kit else { return Came::not("there are no tools") };
        let outcome = kit.toolbox.call(&call.name, &call.arguments, self.cancel);
        Came { text: outcome.text, failed: outcome.failed }
    }

    /// What somebody says of the call that was told. Whoever is gone says no.
    fn decision(&self) -> Decision {
        loop {
            match self.orders.recv() {
                Ok(Order::Decide(decision)) => return decision,
                Ok(_) => {}
                Err(_) => return Decision::No,
            }
        }
    }

    fn came(&mut self, tool: &str, came: Came) {
        let shown = shortened(&escaped(came.text.trim_end()), SHOWN_CHARS);
        self.tell(Told::Result { tool: escaped(tool), shown, failed: came.failed });
        let said = tool_message(tool, &came.text);
        let text = said["content"].as_str().unwrap_or_default();
        let mut message = Message::new(Role::Tool, text);
        message.tool = said["name"].as_str().map(str::to_owned);
        self.push(message);
    }
}
