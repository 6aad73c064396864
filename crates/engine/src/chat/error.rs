//! Why a conversation could not be rendered.

use std::path::PathBuf;

use crate::brief::brief;

/// What can go wrong between messages and text. Each message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{}: {}", path.display(), brief(.what))]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The template does not compile or failed while it ran.
    #[error("{origin}:{line}: {}", brief(.what))]
    Template {
        /// Where the template came from.
        origin: String,
        /// Line of the template, from 1; 0 where none is known.
        line: usize,
        /// What went wrong.
        what: String,
    },
    /// The template refused the conversation by `raise_exception`.
    #[error("the chat template refuses this conversation: {}", brief(.0))]
    Raised(String),
    /// There are no messages.
    #[error("cannot apply the chat template to an empty conversation: at least one message")]
    Empty,
    /// A message, a tool or a variable is nested deeper than anything real.
    #[error("{what} is nested more than {limit} deep")]
    Deep {
        /// Which input.
        what: String,
        /// The depth that is accepted.
        limit: usize,
    },
    /// The input uses so many rare characters that none is left to mark content with.
    #[error("the conversation uses every character that could mark content")]
    Unmarkable,
    /// Content and control tokens could not be told apart.
    #[error(
        "{origin}: the template compares or changes content in a way that leaves open which control \
         tokens are its own (the text differs from byte {at} on when content is marked)"
    )]
    Inseparable {
        /// Where the template came from.
        origin: String,
        /// Where the two renderings part.
        at: usize,
    },
}
