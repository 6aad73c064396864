//! Who may run what: nothing without having asked, unless the user said otherwise of this very tool.

use std::collections::BTreeSet;

use super::Declaration;

/// What the user answers when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This call.
    Once,
    /// This call and all further ones of the same tool, as long as this process runs.
    Always,
    No,
}

/// What the user allowed so far. It is kept nowhere: a resumed session asks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    read_only: bool,
    always: BTreeSet<String>,
}

impl Policy {
    /// `allow_read_only`: tools that change nothing need not ask.
    pub(crate) fn new(allow_read_only: bool) -> Self {
        Self { read_only: allow_read_only, always: BTreeSet::new() }
    }

    /// Whether a call of this tool has to be asked for.
    pub(crate) fn asks(&self, tool: &Declaration) -> bool {
        !(self.always.contains(&tool.name) || (self.read_only && tool.read_only))
    }

    /// Notes the answer; `true` when the call may run.
    pub(crate) fn decide(&mut self, tool: &Declaration, decision: Decision) -> bool {
        if decision == Decision::Always {
            self.always.insert(tool.name.clone());
        }
        decision != Decision::No
    }

    /// Takes every allowance back that was given by an answer.
    pub(crate) fn forget(&mut self) {
        self.always.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, read_only: bool) -> Declaration {
        let (name, description) = (name.to_owned(), String::new());
        Declaration { name, description, parameters: json!({}), read_only, origin: String::new() }
    }

    #[test]
    fn nothing_is_allowed_unasked() {
        let policy = Policy::default();
        assert!(policy.asks(&tool("bash", false)), "a tool that changes things");
        assert!(policy.asks(&tool("read_file", true)), "one that does not");
    }

    #[test]
    fn only_always_is_remembered_and_only_for_this_tool() {
        let (bash, read) = (tool("bash", false), tool("read_file", true));
        let mut policy = Policy::new(false);
        assert!(policy.decide(&bash, Decision::Once), "runs");
        assert!(policy.asks(&bash), "asks again after once");
        assert!(!policy.decide(&bash, Decision::No), "does not run");
        assert!(policy.asks(&bash), "asks again after no");
        assert!(policy.decide(&bash, Decision::Always), "runs");
        assert!(!policy.asks(&bash) && policy.asks(&read), "this tool alone");
        policy.forget();
        assert!(policy.asks(&bash), "taken back");
    }

    #[test]
    fn read_only_tools_alone_can_be_allowed_beforehand() {
        let policy = Policy::new(true);
        assert!(!policy.asks(&tool("read_file", true)), "read only");
        assert!(policy.asks(&tool("write_file", false)), "not read only");
    }
}
