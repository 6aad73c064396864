//! What a conversation is held with: a loaded model, its language, and what is known of both.

use std::path::{Path, PathBuf};

use engine::{Forward, ForwardError, Session};

use super::gauge::{Gauge, Measured};
use crate::fault::Fault;
use crate::language::Language;
use crate::report::Conditions;

/// A model that is ready to talk.
pub(crate) struct Stage<F: Forward> {
    pub(crate) model: Measured<F>,
    /// `None` only while another takes its place.
    pub(crate) session: Option<Session<Measured<F>>>,
    pub(crate) language: Language,
    /// Where it was loaded from; `None` is the built-in model.
    pub(crate) source: Option<PathBuf>,
    /// What it is called on the screen.
    pub(crate) name: String,
    pub(crate) ctx: usize,
    pub(crate) conditions: Conditions,
    /// What works otherwise than one might hope, a line each.
    pub(crate) warnings: Vec<String>,
}

/// How another model is loaded in the place of the one that was given up.
pub(crate) type Load<F> = Box<dyn Fn(Option<&Path>) -> Result<Stage<F>, Fault> + Send>;

impl<F: Forward> Stage<F> {
    /// Sets a model up for turns of at most `ctx` ids together.
    pub(crate) fn new(
        model: F,
        language: Language,
        source: Option<PathBuf>,
        ctx: usize,
        conditions: Conditions,
        warnings: Vec<String>,
    ) -> Result<Self, ForwardError> {
        let name = source.as_deref().and_then(Path::file_name);
        let name = name.map_or("built-in demo model".into(), |name| name.to_string_lossy());
        let name = crate::tool::escaped(&name);
        let model = Measured { inner: model, gauge: Gauge::default() };
        let session = Some(Session::new(&model, ctx)?);
        Ok(Self { model, session, language, source, name, ctx, conditions, warnings })
    }

    /// Shows on this gauge from now on.
    pub(crate) fn show_on(&mut self, gauge: &Gauge) {
        self.model.gauge = gauge.clone();
        let (ctx, plan_bytes) = (self.ctx, self.conditions.plan_bytes);
        gauge.set(|dial| {
            (dial.ctx, dial.plan_bytes, dial.reading) = (ctx, plan_bytes, None);
        });
    }
}
