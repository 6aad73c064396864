//! Declarations of tools: checked when they are made, so that nothing later meets one it cannot keep.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::schema::{Schema, SchemaError};
use crate::brief::brief;

/// Longer names are nobody's.
const NAME_BYTES_MAX: usize = 64;
/// More tools than this fill a context with their descriptions.
const TOOLS_MAX: usize = 128;

/// One function that a model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDeclaration {
    /// Its name: letters, digits, `_`, `-` and `.`, at most 64.
    pub name: String,
    /// What it does, for the model to read.
    pub description: String,
    /// JSON Schema of its arguments: an object schema. See [`Tools::new`] for what may stand in it.
    pub parameters: Value,
}

/// Why tools cannot be declared. Each message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolsError {
    /// A name that the call format cannot carry.
    #[error(
        "tool name {:?}: accepted are 1 to {NAME_BYTES_MAX} letters, digits, '_', '-' and '.'",
        brief(.name)
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The same name twice.
    #[error("tool {name} is declared twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Too many tools.
    #[error("{found} tools are declared, at most {TOOLS_MAX} are accepted")]
    Many {
        /// How many.
        found: usize,
    },
    /// A schema that cannot be kept.
    #[error("tool {name}: {source}")]
    Schema {
        /// The tool.
        name: String,
        /// Where and why.
        source: SchemaError,
    },
}

/// A tool whose schema is understood.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub(super) declaration: ToolDeclaration,
    /// Always an object without further properties.
    pub(super) schema: Schema,
}

/// The tools of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    tools: Vec<Tool>,
}

impl Tools {
    /// Checks declarations.
    ///
    /// Schemas may use `type` (a name or a list), `properties`, `required`, `enum`, `const`,
    /// `items`, `minItems`, `maxItems`, `minimum`, `maximum`, `exclusiveMinimum`,
    /// `exclusiveMaximum`, `minLength`, `maxLength`, `additionalProperties`, and `anyOf` where it
    /// stands alone. `title`, `description`, `default`, `examples`, `format`, `deprecated`,
    /// `$schema`, `$id` and `$comment` are notes for the reader: nothing is checked by them. Every
    /// other keyword is refused by name. A schema without `type` gets the one that its other
    /// keywords belong to.
    ///
    /// # Errors
    /// [`ToolsError`]: the first declaration that cannot be kept.
    pub fn new(declarations: Vec<ToolDeclaration>) -> Result<Self, ToolsError> {
        if declarations.len() > TOOLS_MAX {
            return Err(ToolsError::Many { found: declarations.len() });
        }
        let mut names = HashSet::new();
        let mut tools = Vec::with_capacity(declarations.len());
        for declaration in declarations {
            let name = declaration.name.clone();
            if !is_name(&name) {
                return Err(ToolsError::Name { name });
            }
            if !names.insert(name.clone()) {
                return Err(ToolsError::Duplicate { name });
            }
            let schema = Schema::arguments(&declaration.parameters)
                .map_err(|source| ToolsError::Schema { name, source })?;
            tools.push(Tool { declaration, schema });
        }
        Ok(Self { tools })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The declarations, as they were given.
    pub fn declarations(&self) -> impl ExactSizeIterator<Item = &ToolDeclaration> {
        self.tools.iter().map(|tool| &tool.declaration)
    }

    /// The declaration of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ToolDeclaration> {
        self.find(name).map(|tool| &tool.declaration)
    }

    /// What [`crate::Conversation::tools`] wants; `None` without tools.
    #[must_use]
    pub fn for_template(&self) -> Option<Vec<Value>> {
        let one = |tool: &Tool| {
            let ToolDeclaration { name, description, parameters } = &tool.declaration;
            let parameters = match parameters {
                Value::Null => json!({"type": "object", "properties": {}}),
                other => other.clone(),
            };
            json!({"type": "function", "function": {
                "name": name, "description": description, "parameters": parameters,
            }})
        };
        (!self.tools.is_empty()).then(|| self.tools.iter().map(one).collect())
    }

    /// Checks the arguments of a call, wherever it came from.
    ///
    /// # Errors
    /// One line that says which function or argument is wrong and what is accepted.
    pub fn check(&self, name: &str, arguments: &Map<String, Value>) -> Result<(), String> {
        self.find(name).ok_or_else(|| self.unknown(name))?.schema.check_arguments(name, arguments)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.declaration.name == name)
    }

    pub(super) fn all(&self) -> &[Tool] {
        &self.tools
    }

    /// What is said of a function that does not exist.
    pub(super) fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.declarations().map(|d| d.name.as_str()).collect();
        format!("there is no function {:?}, there are: {}", brief(name), names.join(", "))
    }
}

/// Whether a name can stand in a tag of the call format.
pub(super) fn is_name(name: &str) -> bool {
    let accepted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(accepted)
}
