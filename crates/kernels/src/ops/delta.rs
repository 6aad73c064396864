//! The gated delta rule on one head's state, in walks over its rows that end one step and begin the next.
//!
//! A state is larger than the nearest cache, so what counts is how often it is walked over. A step
//! needs two walks: one for what the state holds of the key, one that writes and reads. Where steps
//! follow each other, the second walk of one is the first of the next; where many do, some columns
//! go through all of them before the others, from a copy that the nearest cache holds.

use std::ops::Range;

use crate::lanes::{LANES, Num};

/// Blocks of columns whose sums are held in registers together.
const WIDE: usize = 4;

/// What one step of the delta rule reads beside the state: keys and queries by row, values by
/// column.
#[derive(Clone, Copy, Debug)]
pub struct DeltaStep<'a> {
    /// `[dk]`
    pub q: &'a [f32],
    /// `[dk]`
    pub k: &'a [f32],
    /// `[dv]`
    pub v: &'a [f32],
    /// What the state is multiplied by first.
    pub decay: f32,
    /// How strongly the corrected values are written.
    pub beta: f32,
}

/// What such a step changes in the state, so that it can be done again.
#[derive(Clone, Copy, Debug)]
pub struct DeltaUpdate<'a> {
    /// `[dk]`
    pub k: &'a [f32],
    /// `[dv]`
    pub u: &'a [f32],
    pub decay: f32,
}

/// Floats of some columns of a state that the nearest cache holds.
const ROOM: usize = 1 << 13;
/// From so many steps on, copying columns there and back is little beside them.
const COPIED: usize = 4;

/// Columns of a state, row after row. In place they would share a few sets of the cache.
#[repr(align(64))]
struct Columns([f32; ROOM]);

#[inline(always)]
pub(crate) fn delta_steps<L: Num>(
    state: &mut [f32],
    steps: &[DeltaStep<'_>],
    u: &mut [f32],
    out: &mut [f32],
) {
    let width = u.len();
    let rows = state.len() / width;
    let columns = (ROOM / rows.max(1) / LANES * LANES).min(WIDE * LANES);
    if steps.len() < COPIED || columns == 0 {
        return steps_of::<L>(state, steps, 0..width, u, out);
    }
    let mut copy = Columns([0.0; ROOM]);
    for first in (0..width).step_by(columns) {
        let span = first..width.min(first + columns);
        let copy = &mut copy.0[..rows * span.len()];
        for (to, from) in copy.chunks_exact_mut(span.len()).zip(state.chunks_exact(width)) {
            to.copy_from_slice(&from[span.clone()]);
        }
        steps_of::<L>(copy, steps, span.clone(), u, out);
        for (from, to) in copy.chunks_exact(span.len()).zip(state.chunks_exact_mut(width)) {
            to[span.clone()].copy_from_slice(from);
        }
    }
}

/// All steps for some columns, of which `state` has no others.
#[inline(always)]
fn steps_of<L: Num>(
    state: &mut [f32],
    steps: &[DeltaStep<'_>],
    columns: Range<usize>,
    u: &mut [f32],
    out: &mut [f32],
) {
    let outs = out.chunks_exact_mut(u.len()).map(|out| &mut out[columns.clone()]);
    let u = &mut u[columns.clone()];
    let steps = steps.iter().map(|step| DeltaStep { v: &step.v[columns.clone()], ..*step });
    let mut outs = steps.zip(outs);
    let Some((mut step, mut out)) = outs.next() else { return };
    // The sums that correct a step lie where its output will be.
    walk::<L, BEGIN>(state, Ends::nothing(), step.begins(out));
    for (next, next_out) in outs {
        correct::<L>(&step, u, out);
        let (ends, begins) = (step.ends(u, out), next.begins(next_out));
        walk::<L, { END | KEEP | READ | BEGIN }>(state, ends, begins);
        (step, out) = (next, next_out);
    }
    correct::<L>(&step, u, out);
    walk::<L, { END | KEEP | READ }>(state, step.ends(u, out), Begins::nothing());
}

#[inline(always)]
pub(crate) fn delta_read<L: Num>(
    state: &mut [f32],
    step: &DeltaStep<'_>,
    u: &mut [f32],
    out: &mut [f32],
) {
    walk::<L, BEGIN>(state, Ends::nothing(), step.begins(out));
    correct::<L>(step, u, out);
    walk::<L, { END | READ }>(state, step.ends(u, out), Begins::nothing());
}

#[inline(always)]
pub(crate) fn delta_apply<L: Num>(state: &mut [f32], update: &DeltaUpdate<'_>) {
    walk::<L, { END | KEEP }>(state, update.ends(), Begins::nothing());
}

#[inline(always)]
pub(crate) fn delta_apply_read<L: Num>(
    state: &mut [f32],
    before: &DeltaUpdate<'_>,
    step: &DeltaStep<'_>,
    u: &mut [f32],
    out: &mut [f32],
) {
    walk::<L, { END | KEEP | BEGIN }>(state, before.ends(), step.begins(out));
    correct::<L>(step, u, out);
    walk::<L, { END | READ }>(state, step.ends(u, out), Begins::nothing());
}

/// From what the state holds of the key to what is to be written there.
#[inline(always)]
fn correct<L: Num>(step: &DeltaStep<'_>, u: &mut [f32], sums: &[f32]) {
    let whole = u.len() / LANES * LANES;
    corrected::<L>(step, u, sums, 0..whole);
    corrected::<f32>(step, u, sums, whole..u.len());
}

#[inline(always)]
fn corrected<T: Num>(step: &DeltaStep<'_>, u: &mut [f32], sums: &[f32], columns: Range<usize>) {
    for c in columns.step_by(T::WIDTH) {
        let missing = T::read(&step.v[c..]).sub(T::read(&sums[c..]));
        T::splat(step.beta).mul(missing).write(&mut u[c..]);
    }
}

/// A step ends: the state decays, and the update is written.
const END: u8 = 1;
/// That stays in memory.
const KEEP: u8 = 2;
/// It is read for the step's output.
const READ: u8 = 4;
/// A step begins: what the state will hold of the key, when it has decayed, is summed.
const BEGIN: u8 = 8;

/// How a step ends.
struct Ends<'a> {
    k: &'a [f32],
    u: &'a [f32],
    q: &'a [f32],
    decay: f32,
    out: &'a mut [f32],
}

/// How a step begins.
struct Begins<'a> {
    k: &'a [f32],
    decay: f32,
    sums: &'a mut [f32],
}

impl DeltaStep<'_> {
    fn ends<'a>(&'a self, u: &'a [f32], out: &'a mut [f32]) -> Ends<'a> {
        Ends { k: self.k, u, q: self.q, decay: self.decay, out }
    }

    fn begins<'a>(&'a self, sums: &'a mut [f32]) -> Begins<'a> {
        Begins { k: self.k, decay: self.decay, sums }
    }
}

impl DeltaUpdate<'_> {
    fn ends(&self) -> Ends<'_> {
        Ends { k: self.k, u: self.u, decay: self.decay, ..Ends::nothing() }
    }
}

impl Ends<'_> {
    fn nothing() -> Self {
        Ends { k: &[], u: &[], q: &[], decay: 1.0, out: &mut [] }
    }
}

impl Begins<'_> {
    fn nothing() -> Self {
        Begins { k: &[], decay: 1.0, sums: &mut [] }
    }
}

/// One walk over the state in strips of columns; `DO` says what of `ends` and `begins` is done.
#[inline(always)]
fn walk<L: Num, const DO: u8>(state: &mut [f32], mut ends: Ends<'_>, mut begins: Begins<'_>) {
    let width = ends.u.len().max(begins.sums.len());
    let mut first = 0;
    while first + WIDE * LANES <= width {
        strip::<L, WIDE, DO>(state, width, first, &mut ends, &mut begins);
        first += WIDE * LANES;
    }
    while first + LANES <= width {
        strip::<L, 1, DO>(state, width, first, &mut ends, &mut begins);
        first += LANES;
    }
    while first < width {
        strip::<f32, 1, DO>(state, width, first, &mut ends, &mut begins);
        first += 1;
    }
}

/// The columns from `first` on, `C` times the width of `T`.
#[inline(always)]
fn strip<T: Num, const C: usize, const DO: u8>(
    state: &mut [f32],
    width: usize,
    first: usize,
    ends: &mut Ends<'_>,
    begins: &mut Begins<'_>,
) {
    let (decay, next_decay) = (T::splat(ends.decay), T::splat(begins.decay));
    let span = first..first + C * T::WIDTH;
    let u = read::<T, C>(ends.u, &span, DO & END != 0);
    let (mut out, mut sums) = ([T::splat(0.0); C], [T::splat(0.0); C]);
    for (r, row) in state.chunks_exact_mut(width).enumerate() {
        let factor = |of_rows: &[f32], used: bool| T::splat(if used { of_rows[r] } else { 0.0 });
        let k = factor(ends.k, DO & END != 0);
        let q = factor(ends.q, DO & READ != 0);
        let next_k = factor(begins.k, DO & BEGIN != 0);
        let row = &mut row[span.clone()];
        for c in 0..C {
            let cell = &mut row[c * T::WIDTH..(c + 1) * T::WIDTH];
            let mut s = T::read(cell);
            if DO & END != 0 {
                s = k.mul_add(u[c], decay.mul(s));
            }
            if DO & KEEP != 0 {
                s.write(cell);
            }
            if DO & READ != 0 {
                out[c] = q.mul_add(s, out[c]);
            }
            if DO & BEGIN != 0 {
                sums[c] = next_k.mul_add(next_decay.mul(s), sums[c]);
            }
        }
    }
    if DO & READ != 0 {
        write(&out, &mut ends.out[span.clone()]);
    }
    if DO & BEGIN != 0 {
        write(&sums, &mut begins.sums[span]);
    }
}

#[inline(always)]
fn read<T: Num, const C: usize>(from: &[f32], span: &Range<usize>, used: bool) -> [T; C] {
    let mut blocks = [T::splat(0.0); C];
    if used {
        let from = &from[span.clone()];
        for c in 0..C {
            blocks[c] = T::read(&from[c * T::WIDTH..]);
        }
    }
    blocks
}

#[inline(always)]
fn write<T: Num, const C: usize>(blocks: &[T; C], to: &mut [f32]) {
    for c in 0..C {
        blocks[c].write(&mut to[c * T::WIDTH..]);
    }
}
