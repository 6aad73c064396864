//! The tools of a conversation: what the model is told of them, what holds its calls to that, and who may run what.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::{CallConstraint, CallForm, CallTokens, ToolDeclaration, Tools};
use serde_json::Value;

use crate::cli::{self, ToolArgs};
use crate::fault::Fault;
use crate::language::Language;
use crate::tool::{Bounds, Policy, Sandbox, Toolbox};

/// Everything about tools.
pub(crate) struct Kit {
    pub(crate) toolbox: Toolbox,
    pub(crate) policy: Policy,
    pub(crate) tools: Arc<Tools>,
    /// Rounds of calls that one message may cause.
    pub(crate) rounds_max: usize,
    constrained: bool,
}

/// How calls are read and held, with one model.
pub(crate) struct Calls {
    pub(crate) form: CallForm,
    /// `None` where they may be anything.
    pub(crate) constraint: Option<CallConstraint>,
}

impl Kit {
    /// What the command line wishes; `None` without tools.
    ///
    /// # Errors
    /// A tool that is unknown, or whose schema cannot be kept.
    pub(crate) fn open(args: &ToolArgs, directory: PathBuf) -> Result<Option<Self>, Fault> {
        if args.list.is_empty() {
            return Ok(None);
        }
        let directory = args.tools_dir.clone().unwrap_or(directory);
        let timeout = Duration::from_secs(u64::from(args.tool_timeout));
        let bounds = Bounds {
            sandbox: sandbox(args.sandbox),
            network: args.tools_network,
            private_addresses: args.tools_private_addresses,
            timeout,
            ..Bounds::new(directory)
        };
        let toolbox = Toolbox::open(&args.list, bounds)?;
        let declarations = toolbox.declarations().map(|tool| ToolDeclaration {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.parameters.clone(),
        });
        let tools = Tools::new(declarations.collect()).map_err(Fault::command_line)?;
        Ok(Some(Self {
            toolbox,
            policy: Policy::new(args.allow_read_only),
            tools: Arc::new(tools),
            rounds_max: args.tool_rounds,
            constrained: !args.unconstrained_tools,
        }))
    }

    /// What the template is told.
    pub(crate) fn for_template(&self) -> Option<Vec<Value>> {
        self.tools.for_template()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.tools.declarations().map(|tool| tool.name.clone()).collect()
    }

    /// How a model with this language calls.
    ///
    /// # Errors
    /// One line: a template without calls, or a tokenizer that cannot be held to them.
    pub(crate) fn calls(&self, language: &Language) -> Result<Calls, String> {
        let form = language.template.as_ref().and_then(engine::ChatTemplate::call_form);
        let form = form.ok_or("the chat template of this model knows no tools")?;
        let constraint = if self.constrained {
            let tokens = CallTokens::new(&language.tokenizer);
            let made = tokens.and_then(|tokens| CallConstraint::new(&tokens, &self.tools, form));
            let unheld = |error| format!("{error}; accepted: --unconstrained-tools");
            Some(made.map_err(unheld)?)
        } else {
            None
        };
        Ok(Calls { form, constraint })
    }

    /// A line for each tool, and the rules.
    pub(crate) fn told(&self) -> String {
        let mut lines: Vec<String> = self
            .toolbox
            .declarations()
            .map(|tool| {
                let asks = if self.policy.asks(tool) { "asks first" } else { "runs unasked" };
                format!("{:<14} {asks} · {} · {}", tool.name, tool.origin, tool.description)
            })
            .collect();
        let held = if self.constrained { "held to their schemas" } else { "not constrained" };
        lines.push(self.toolbox.in_force());
        lines.push(format!("calls are {held}; {} rounds a message at most", self.rounds_max));
        lines.join("\n")
    }
}

fn sandbox(wished: cli::Sandbox) -> Sandbox {
    match wished {
        cli::Sandbox::Auto => Sandbox::Auto,
        cli::Sandbox::Bubblewrap => Sandbox::Bubblewrap,
        cli::Sandbox::Landlock => Sandbox::Landlock,
        cli::Sandbox::Off => Sandbox::Off,
    }
}
