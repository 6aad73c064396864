//! How ids are chosen: the checkpoint's advice, and what the user says against it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::RangeInclusive;

use crate::chat::GenerationDefaults;

/// Everything that a sampler goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the highest logit; else logits are divided by it.
    pub temperature: f32,
    /// Only the so many highest are candidates; 0 is off.
    pub top_k: u32,
    /// Only the fewest highest whose probabilities sum up to it; 1 is off.
    pub top_p: f32,
    /// Only those with at least this share of the highest probability; 0 is off.
    pub min_p: f32,
    /// Taken from the logit of every id that was generated in this turn; 0 is off.
    pub presence_penalty: f32,
    /// Divides positive and multiplies other logits of every id of the prompt and of what was
    /// generated; 1 is off.
    pub repeat_penalty: f32,
    /// Where all chance begins.
    pub seed: u64,
}

impl Default for Sampling {
    /// The highest logit, always.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            presence_penalty: 0.0,
            repeat_penalty: 1.0,
            seed: 0,
        }
    }
}

/// What somebody wants to be otherwise than the checkpoint advises; `None` leaves the advice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SamplingOverrides {
    /// As in [`Sampling`], 0 to 100.
    pub temperature: Option<f32>,
    /// As in [`Sampling`].
    pub top_k: Option<u32>,
    /// As in [`Sampling`], above 0, up to 1.
    pub top_p: Option<f32>,
    /// As in [`Sampling`], 0 to 1.
    pub min_p: Option<f32>,
    /// As in [`Sampling`], -2 to 2.
    pub presence_penalty: Option<f32>,
    /// As in [`Sampling`], above 0, up to 100.
    pub repeat_penalty: Option<f32>,
    /// `None` takes another one every time.
    pub seed: Option<u64>,
}

/// A setting that no sampler can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {found}; accepted: {accepted}")]
pub struct SamplingError {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub found: String,
    /// What it may be.
    pub accepted: &'static str,
}

impl Sampling {
    /// The checkpoint's advice with overrides.
    ///
    /// # Errors
    /// [`SamplingError`] for the first override out of bounds.
    pub fn new(
        defaults: &GenerationDefaults,
        overrides: &SamplingOverrides,
    ) -> Result<Self, SamplingError> {
        let o = overrides;
        let above_zero = f32::MIN_POSITIVE;
        let number = |name, wish: Option<f32>, advice, range: RangeInclusive<f32>, accepted| {
            let Some(value) = wish else { return Ok(advice) };
            let found = value.to_string();
            let refused = SamplingError { name, found, accepted };
            if range.contains(&value) { Ok(value) } else { Err(refused) }
        };
        let (presence, repeat) = (defaults.presence_penalty, defaults.repetition_penalty);
        Ok(Self {
            temperature: number(
                "temperature",
                o.temperature,
                defaults.temperature,
                0.0..=100.0,
                "0 to 100",
            )?,
            top_k: o.top_k.unwrap_or(defaults.top_k),
            top_p: number("top_p", o.top_p, defaults.top_p, above_zero..=1.0, "above 0, up to 1")?,
            min_p: number("min_p", o.min_p, defaults.min_p, 0.0..=1.0, "0 to 1")?,
            presence_penalty: number(
                "presence_penalty",
                o.presence_penalty,
                presence,
                -2.0..=2.0,
                "-2 to 2",
            )?,
            repeat_penalty: number(
                "repeat_penalty",
                o.repeat_penalty,
                repeat,
                above_zero..=100.0,
                "above 0, up to 100",
            )?,
            seed: o.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADVICE: GenerationDefaults = GenerationDefaults {
        temperature: 0.6,
        top_k: 20,
        top_p: 0.95,
        min_p: 0.1,
        presence_penalty: 1.5,
        repetition_penalty: 1.05,
        do_sample: true,
    };

    #[test]
    fn advice_stands_unless_it_is_overridden() {
        let seed = Some(3);
        let read = Sampling::new(&ADVICE, &SamplingOverrides { seed, ..Default::default() });
        let want = Sampling {
            temperature: 0.6,
            top_k: 20,
            top_p: 0.95,
            min_p: 0.1,
            presence_penalty: 1.5,
            repeat_penalty: 1.05,
            seed: 3,
        };
        assert_eq!(read, Ok(want), "advice");
        let overrides = SamplingOverrides {
            temperature: Some(0.0),
            top_k: Some(0),
            top_p: Some(1.0),
            min_p: Some(0.0),
            presence_penalty: Some(0.0),
            repeat_penalty: Some(1.0),
            seed: Some(0),
        };
        assert_eq!(Sampling::new(&ADVICE, &overrides), Ok(Sampling::default()), "overrides");
    }

    #[test]
    fn without_a_seed_every_one_is_another() {
        let seed = || Sampling::new(&ADVICE, &SamplingOverrides::default()).map(|read| read.seed);
        assert_ne!(seed(), seed(), "two of 2^64");
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        let o = SamplingOverrides::default();
        let with = |value| {
            let some = Some(value);
            [
                ("temperature", SamplingOverrides { temperature: some, ..o }),
                ("top_p", SamplingOverrides { top_p: some, ..o }),
                ("min_p", SamplingOverrides { min_p: some, ..o }),
                ("presence_penalty", SamplingOverrides { presence_penalty: some, ..o }),
                ("repeat_penalty", SamplingOverrides { repeat_penalty: some, ..o }),
            ]
        };
        for value in [-3.0, 101.0, f32::NAN, f32::INFINITY] {
            for (name, overrides) in with(value) {
                let error = Sampling::new(&ADVICE, &overrides).expect_err(name).to_string();
                let begin = format!("{name} is {value}; accepted: ");
                assert!(error.starts_with(&begin), "{error}");
            }
        }
        let zero = |name| with(0.0).into_iter().find(|(n, _)| *n == name).map(|(_, o)| o);
        for name in ["top_p", "repeat_penalty"] {
            let overrides = zero(name).expect("it is in the list");
            assert!(Sampling::new(&ADVICE, &overrides).is_err(), "{name} of 0");
        }
    }
}
