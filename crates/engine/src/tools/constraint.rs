//! Constrained calls: inside a call, only what completes it to one that is well-formed and fits.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use toktrie::{InferenceCapabilities, SimpleVob, TokRxInfo, TokTrie, TokenizerEnv};

use super::grammar::grammar;
use super::reader::call_marks;
use super::text_masks::TextMasks;
use super::{CLOSE, CallForm, OPEN, Tools};
use crate::brief::brief;
use crate::sample::Mask;
use crate::tokenizer::{Tokenizer, starts_thinking};

/// States of a call's automaton at most; each takes 1 to 2 KiB, and a call makes a few hundred.
const STATES_MAX: usize = 8192;
/// What those states, the declarations and the masks of a call take.
const CALL_BYTES: u64 = 24 << 20;

/// Longer tokens never come up inside a call: the automaton takes paths of up to 1,024 bytes.
const WORD_BYTES_MAX: usize = 1000;
/// All tokens together: the automaton counts the nodes of its tree with 22 bits.
const WORDS_BYTES_MAX: usize = (1 << 22) - 1;

/// Why calls cannot be constrained. Each message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// The tokenizer has no tokens for the marks, so where a call begins is open.
    #[error("the tokenizer has no tokens {OPEN} and {CLOSE}: calls cannot be constrained")]
    NoMarks,
    /// There is nothing to call.
    #[error("no tools are declared: there are no calls to constrain")]
    NoTools,
    /// The tokens or the declarations are beyond what the automaton takes.
    #[error("calls cannot be constrained to these declarations: {}", brief(.what))]
    Grammar {
        /// What it said.
        what: String,
    },
}

/// The tokens of a tokenizer as the automaton wants them: made once, shared by all sets of tools.
#[derive(Clone)]
pub struct CallTokens {
    factory: Arc<ParserFactory>,
    open: u32,
    close: u32,
    think: Option<(u32, u32)>,
}

impl std::fmt::Debug for CallTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { open, close, think, .. } = self;
        f.debug_struct("CallTokens")
            .field("open", open)
            .field("close", close)
            .field("think", think)
            .finish_non_exhaustive()
    }
}

/// What the automaton sees of a tokenizer.
struct Words(TokTrie);

impl TokenizerEnv for Words {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.0.greedy_tokenize(bytes)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

impl CallTokens {
    /// Takes a tokenizer's tokens, about a third of a second for 250,000 of them. Added tokens are
    /// no text: only the closing mark can come up in a constrained call.
    ///
    /// # Errors
    /// [`ConstraintError::NoMarks`], [`ConstraintError::Grammar`].
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, ConstraintError> {
        let (open, close) = call_marks(tokenizer).ok_or(ConstraintError::NoMarks)?;
        let size = u32::try_from(tokenizer.size()).unwrap_or(u32::MAX);
        let added = tokenizer.added();
        let word = |id: u32| {
            let mut word = Vec::new();
            if added.binary_search_by_key(&id, |token| token.id).is_ok() {
                word.push(TokTrie::SPECIAL_TOKEN_MARKER);
            }
            word.extend_from_slice(tokenizer.token_bytes(id).unwrap_or_default());
            word
        };
        let mut words: Vec<Vec<u8>> = (0..size).map(word).collect();
        words.iter_mut().filter(|word| word.len() > WORD_BYTES_MAX).for_each(Vec::clear);
        let total: usize = words.iter().map(Vec::len).sum();
        if total > WORDS_BYTES_MAX {
            let what = format!("the tokens have {total} bytes, accepted are {WORDS_BYTES_MAX}");
            return Err(ConstraintError::Grammar { what });
        }
        // The end of the text never lies inside a call, so the id given for it is never allowed.
        let trie = TokTrie::from(&TokRxInfo::new(size, open), &words);
        drop(words);
        let mut factory = ParserFactory::new(
            &(Arc::new(Words(trie)) as _),
            InferenceCapabilities::default(),
            &[],
        )
        .map_err(refused)?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.max_lexer_states = STATES_MAX;
        limits.verbose_errors = false;
        Ok(Self { factory: Arc::new(factory), open, close, think: tokenizer.think_ids() })
    }

    /// Memory that constraining takes at most, for the plan: what [`CallTokens::new`] needs while it
    /// works, more than what it keeps, and a call. The large vocabulary of 248,077 tokens was
    /// measured with 58 MB while it was read, 40 MB after, and 12 MB more in a call.
    #[must_use]
    pub fn plan_bytes(tokenizer: &Tokenizer) -> u64 {
        let tokens = tokenizer.size() as u64;
        let bytes = |id: u32| tokenizer.token_bytes(id).map_or(0, <[u8]>::len) as u64;
        let bytes: u64 = (0..u32::try_from(tokens).unwrap_or(u32::MAX)).map(bytes).sum();
        // A node of the tree takes 8 bytes, and there are four of them.
        32 * bytes + 16 * tokens + CALL_BYTES
    }

    fn trie(&self) -> &TokTrie {
        self.factory.tok_env().tok_trie()
    }
}

/// The calls of one set of tools, ready to be held to.
pub struct CallConstraint {
    /// Before the first id of a call; cloned for each.
    start: Matcher,
    /// What the texts in the tagged form may be.
    texts: Option<Arc<Tools>>,
    tokens: CallTokens,
}

impl std::fmt::Debug for CallConstraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallConstraint").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

impl CallConstraint {
    /// Compiles declarations.
    ///
    /// # Errors
    /// [`ConstraintError::NoTools`], [`ConstraintError::Grammar`].
    pub fn new(
        tokens: &CallTokens,
        tools: &Arc<Tools>,
        form: CallForm,
    ) -> Result<Self, ConstraintError> {
        if tools.is_empty() {
            return Err(ConstraintError::NoTools);
        }
        let text = grammar(tools, form, tokens.close);
        let parser = tokens.factory.create_parser(TopLevelGrammar::from_lark(text));
        let start = Matcher::new(Ok(parser.map_err(refused)?));
        match start.get_error() {
            Some(what) => Err(ConstraintError::Grammar { what }),
            None => {
                let texts = (form == CallForm::Tagged).then(|| Arc::clone(tools));
                Ok(Self { start, texts, tokens: tokens.clone() })
            }
        }
    }

    /// A call after its opening mark. Its tables are its own: they are given back when it ends.
    fn begin(&self) -> Inside {
        let longest = self.tokens.trie().max_token_len();
        let texts = self.texts.as_ref().map(|tools| TextMasks::new(Arc::clone(tools), longest));
        Inside { matcher: self.start.deep_clone(), texts }
    }

    /// The mask of one turn, for [`crate::generate`]. A prompt that ends in the opening mark has
    /// begun a call.
    #[must_use]
    pub fn mask(&self, prompt: &[u32]) -> CallMask<'_> {
        let thinking = self.tokens.think.is_some_and(|think| starts_thinking(prompt, think));
        let mut mask = CallMask { constraint: self, thinking, state: State::Outside };
        if prompt.last() == Some(&self.tokens.open) {
            mask.accept(self.tokens.open);
        }
        mask
    }
}

/// Leaves everything outside of calls as it is, reasoning included. Inside a call it allows what
/// completes it; no added token but the closing mark does, so a turn cannot end there.
pub struct CallMask<'c> {
    constraint: &'c CallConstraint,
    thinking: bool,
    state: State,
}

enum State {
    Outside,
    Inside(Box<Inside>),
    /// The automaton gave up: nothing is allowed any more, which ends the turn with an error.
    Failed(String),
}

/// A call that is being written.
struct Inside {
    matcher: Matcher,
    /// In the tagged form.
    texts: Option<TextMasks>,
}

impl Inside {
    fn allow(&mut self, logits: &mut [f32]) -> Result<(), String> {
        if let Some(mask) = self.texts.as_mut().and_then(TextMasks::get) {
            forbid(mask, logits);
            return Ok(());
        }
        let mask = self.matcher.compute_mask().map_err(brief)?;
        if let Some(texts) = &mut self.texts {
            texts.keep(&mask);
        }
        forbid(&mask, logits);
        Ok(())
    }

    /// Whether the call goes on.
    fn accept(&mut self, id: u32, tokens: &CallTokens) -> Result<bool, String> {
        self.matcher.consume_token(id).map_err(brief)?;
        if let Some(texts) = &mut self.texts {
            texts.push(tokens.trie().token(id));
        }
        Ok(!self.matcher.is_stopped())
    }
}

fn forbid(allowed: &SimpleVob, logits: &mut [f32]) {
    for (word, logits) in allowed.as_slice().iter().zip(logits.chunks_mut(32)) {
        for (bit, logit) in logits.iter_mut().enumerate() {
            if word & (1 << bit) == 0 {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

impl std::fmt::Debug for CallMask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallMask").field("inside", &self.inside()).finish_non_exhaustive()
    }
}

impl CallMask<'_> {
    /// Whether the next id belongs to a call.
    #[must_use]
    pub fn inside(&self) -> bool {
        !matches!(self.state, State::Outside)
    }

    /// Why nothing is allowed any more: what to tell after [`crate::SampleError::AllForbidden`].
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match &self.state {
            State::Failed(what) => Some(what),
            _ => None,
        }
    }
}

impl Mask for CallMask<'_> {
    fn allow(&mut self, logits: &mut [f32]) {
        if let State::Inside(inside) = &mut self.state
            && let Err(what) = inside.allow(logits)
        {
            self.state = State::Failed(what);
        }
        if let State::Failed(_) = self.state {
            logits.fill(f32::NEG_INFINITY);
        }
    }

    fn accept(&mut self, id: u32) {
        let tokens = &self.constraint.tokens;
        match &mut self.state {
            State::Outside => match tokens.think {
                Some((open, _)) if id == open => self.thinking = true,
                Some((_, close)) if id == close => self.thinking = false,
                _ if id == tokens.open && !self.thinking => {
                    self.state = State::Inside(Box::new(self.constraint.begin()));
                }
                _ => {}
            },
            State::Inside(inside) => match inside.accept(id, tokens) {
                Ok(true) => {}
                Ok(false) => self.state = State::Outside,
                Err(what) => self.state = State::Failed(what),
            },
            State::Failed(_) => {}
        }
    }
}

fn refused(error: impl std::fmt::Display) -> ConstraintError {
    ConstraintError::Grammar { what: error.to_string() }
}
