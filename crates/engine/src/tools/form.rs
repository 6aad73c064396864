//! The two forms in which models write calls, told apart by what the template teaches.

/// How a model writes a call between its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallForm {
    /// `<function=NAME>`, then `<parameter=KEY>`, the value as text on lines of its own,
    /// `</parameter>` for each argument, then `</function>`.
    Tagged,
    /// One JSON object with `name` and `arguments`.
    Json,
}

impl CallForm {
    /// The form that a template's text describes; `None` where it has no calls.
    pub(crate) fn of(template: &str) -> Option<Self> {
        if !template.contains(super::OPEN) {
            return None;
        }
        if template.contains("<function=") {
            return Some(Self::Tagged);
        }
        template.contains("arguments").then_some(Self::Json)
    }
}
