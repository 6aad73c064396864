//! Routes that no model made, but that are as local and as uneven as those of real ones.

use super::random::Random;
use super::{Shape, Trace};

/// Tokens after which the subject changes, at least and at most.
const SUBJECT_TOKENS: [usize; 2] = [200, 1000];
/// After how many tokens what the text is about at the moment has faded to 1/e, and what the
/// last few words were.
const SLOW_TOKENS: f32 = 60.0;
const FAST_TOKENS: f32 = 3.0;
/// The share of the variance of an expert's score that each part has, at the first layer and
/// where locality is highest. The rest is noise of the single token.
const LASTING: [f32; 2] = [0.31, 0.36];
const SLOW: [f32; 2] = [0.0, 0.07];
const FAST: [f32; 2] = [0.0, 0.54];
/// How much of what lasts goes with the subject.
const OF_SUBJECT: f32 = 0.45;
/// Where locality is highest, and what is left of it at the last layer.
const PEAK_DEPTH: f32 = 0.35;
const LEFT_AT_END: f32 = 0.6;
/// Down to here the same word draws the same noise.
const EARLY_DEPTH: f32 = 0.07;
/// Different words, drawn by Zipf's law.
const WORDS: f64 = 20_000.0;

/// Routes of `tokens` tokens, the same for the same seed.
///
/// Each expert has a score for each token, and the highest ones are chosen, in descending order.
/// A score is a sum of parts that live differently long: for ever, as long as the subject, some
/// dozens of tokens, a few tokens, one token. The shares are fitted to traces of real models:
/// overlap of consecutive tokens, its profile over the layers, distances of reuse, unions,
/// unevenness.
pub(crate) fn synthetic(shape: Shape, tokens: usize, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut layers: Vec<Layer> =
        (0..shape.layers).map(|n| Layer::new(n, shape, &mut random)).collect();
    let mut trace = Trace::new(shape.layers, shape.experts);
    let mut until_next = subject(&mut random);
    for _ in 0..tokens {
        if until_next == 0 {
            until_next = subject(&mut random);
            layers.iter_mut().for_each(|layer| redraw(&mut layer.subject, &mut random));
        }
        until_next -= 1;
        let word = WORDS.powf(random.unit()) as u64;
        for (n, layer) in layers.iter_mut().enumerate() {
            let own = layer.early.then(|| Random::of(seed, word, n as u64));
            layer.route(shape.chosen, &mut random, own);
        }
        trace.push(None, layers.iter().map(|layer| &layer.order[..shape.chosen]));
    }
    trace
}

/// How long the next subject lasts.
fn subject(random: &mut Random) -> usize {
    let [least, most] = SUBJECT_TOKENS;
    least + random.below(most - least)
}

fn redraw(values: &mut [f32], random: &mut Random) {
    values.iter_mut().for_each(|value| *value = random.normal());
}

/// The parts of its experts' scores, one value for each expert, all with variance 1.
struct Layer {
    lasting: Vec<f32>,
    subject: Vec<f32>,
    slow: Vec<f32>,
    fast: Vec<f32>,
    /// By how much each part is multiplied, and the noise.
    scales: [f32; 5],
    /// Whether its noise depends on the word alone.
    early: bool,
    scores: Vec<f32>,
    /// The experts; after a route those with the highest scores come first.
    order: Vec<u32>,
}

impl Layer {
    fn new(layer: usize, shape: Shape, random: &mut Random) -> Self {
        let depth = layer as f32 / shape.layers.saturating_sub(1).max(1) as f32;
        let part = |[first, peak]: [f32; 2]| first + (peak - first) * locality(depth);
        let (lasting, slow, fast) = (part(LASTING), part(SLOW), part(FAST));
        let (own, subject) = (lasting * (1.0 - OF_SUBJECT), lasting * OF_SUBJECT);
        let noise = 1.0 - lasting - slow - fast;
        let mut draw = || {
            let mut values = vec![0.0; shape.experts];
            redraw(&mut values, random);
            values
        };
        let mut popularity = draw();
        popularity.iter_mut().for_each(|value| *value = heavy(*value));
        Self {
            lasting: popularity,
            subject: draw(),
            slow: draw(),
            fast: draw(),
            scales: [own, subject, slow, fast, noise].map(f32::sqrt),
            early: depth < EARLY_DEPTH,
            scores: vec![0.0; shape.experts],
            order: (0..shape.experts as u32).collect(),
        }
    }

    /// Goes on by one token. `own` draws the noise, if not everybody's `random` does.
    fn route(&mut self, chosen: usize, random: &mut Random, mut own: Option<Random>) {
        let keep = |tokens: f32| {
            let kept = (-1.0 / tokens).exp();
            [kept, (1.0 - kept * kept).sqrt()]
        };
        let (keep_slow, keep_fast) = (keep(SLOW_TOKENS), keep(FAST_TOKENS));
        for expert in 0..self.scores.len() {
            let [slow, fast] = [&mut self.slow[expert], &mut self.fast[expert]];
            *slow = keep_slow[0] * *slow + keep_slow[1] * random.normal();
            *fast = keep_fast[0] * *fast + keep_fast[1] * random.normal();
            let noise = own.as_mut().unwrap_or(random).normal();
            let parts = [self.lasting[expert], self.subject[expert], *slow, *fast, noise];
            let scaled = parts.iter().zip(&self.scales).map(|(part, scale)| part * scale);
            self.scores[expert] = scaled.sum();
        }
        let scores = &self.scores;
        let higher =
            |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        if chosen < self.order.len() {
            self.order.select_nth_unstable_by(chosen, higher);
        }
        self.order[..chosen].sort_unstable_by(higher);
    }
}

/// The same variance, but more values far from the middle: few experts are favourites for ever.
fn heavy(normal: f32) -> f32 {
    // Of a x + b x^3 the variance is a^2 + 6 a b + 15 b^2.
    const LINEAR: f32 = 0.7;
    const CUBIC: f32 = 0.15;
    const DEVIATION: f32 = 1.2073;
    (LINEAR * normal + CUBIC * normal.powi(3)) / DEVIATION
}

/// From 0 at the first layer to 1 where locality is highest, and down again.
fn locality(depth: f32) -> f32 {
    if depth < PEAK_DEPTH {
        (depth / PEAK_DEPTH * std::f32::consts::FRAC_PI_2).sin()
    } else {
        1.0 - (1.0 - LEFT_AT_END) * (depth - PEAK_DEPTH) / (1.0 - PEAK_DEPTH)
    }
}
