//! From a vector of f32 to integers of fifteen bits in two bytes, one step a group.

use crate::activations::{Order, Row, planes, unit};

/// Added and taken away again, it rounds to the nearest integer, ties to even: beyond 2^23 an f32
/// has no fraction.
const ROUND: f32 = 12_582_912.0;
/// The greatest integer: its upper byte is 127 and its lower byte 0.
const LARGEST: f32 = 16_256.0;
/// A group whose greatest magnitude is below this is all zeros: what it would add is below every
/// f32 that a model holds, and 16256 / magnitude would be infinite for the smallest of them.
const TINY: f32 = 1e-30;

/// For every group of g elements: step = max |x| / 16256, integer_i = round(x_i · (16256 / max |x|)),
/// sum = step · Σ integers. An integer is 128 · upper + lower, lower from -64 to 63: the upper bytes
/// of a group lie before the lower ones. One element that is not finite makes the step and the sum NaN.
#[inline(always)]
pub(crate) fn quantise(row: &mut Row<'_, '_>) {
    let group = row.order.group;
    let groups = row.x.chunks_exact(group).zip(row.ints.chunks_exact_mut(2 * group));
    for (n, (x, ints)) in groups.enumerate() {
        let (upper, lower) = ints.split_at_mut(group);
        (row.steps[n], row.sums[n]) = quantise_group(row.order, x, upper, lower);
    }
    let used = row.cols / group;
    row.steps[used..].fill(0.0);
    row.sums[used..].fill(0.0);
}

/// The upper and the lower bytes of one group; its step and its sum.
#[inline(always)]
pub(crate) fn quantise_group(
    order: Order,
    x: &[f32],
    upper: &mut [i8],
    lower: &mut [i8],
) -> (f32, f32) {
    match (order.group, order.planes) {
        (32, 1) => one::<32, 1>(x, upper, lower),
        (32, 2) => one::<32, 2>(x, upper, lower),
        (32, 4) => one::<32, 4>(x, upper, lower),
        (64, 1) => one::<64, 1>(x, upper, lower),
        (64, 2) => one::<64, 2>(x, upper, lower),
        (64, 4) => one::<64, 4>(x, upper, lower),
        (128, 1) => one::<128, 1>(x, upper, lower),
        (128, 2) => one::<128, 2>(x, upper, lower),
        (128, 4) => one::<128, 4>(x, upper, lower),
        _ => unreachable!("the group was checked when the matrix was made"),
    }
}

#[inline(always)]
fn one<const GROUP: usize, const PLANES: usize>(
    x: &[f32],
    upper: &mut [i8],
    lower: &mut [i8],
) -> (f32, f32) {
    let x: &[f32; GROUP] = x.try_into().expect("a whole group is always passed");
    // Magnitudes in order are their bits in order, and NaN lies above infinity.
    let mut largest = 0_i32;
    for x in x {
        largest = largest.max((x.to_bits() & 0x7fff_ffff) as i32);
    }
    let largest = f32::from_bits(largest as u32);
    if !largest.is_finite() {
        upper.fill(0);
        lower.fill(0);
        return (f32::NAN, f32::NAN);
    }
    if largest < TINY {
        upper.fill(0);
        lower.fill(0);
        return (0.0, 0.0);
    }
    let inverse = LARGEST / largest;
    let x = laid::<GROUP, PLANES>(x);
    // Arrays of a known length and of our own, or else the loop is not made of whole registers.
    let (mut uppers, mut lowers) = ([0; GROUP], [0; GROUP]);
    let mut total = 0_i32;
    for i in 0..GROUP {
        let integer = (x[i] * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
        total += integer;
        let high = (integer + 64) >> 7;
        (uppers[i], lowers[i]) = (high as i8, (integer - (high << 7)) as i8);
    }
    upper.copy_from_slice(&uppers);
    lower.copy_from_slice(&lowers);
    let step = largest / LARGEST;
    (step, step * total as f32)
}

/// A group in the order in which weights are unpacked.
#[inline(always)]
fn laid<const GROUP: usize, const PLANES: usize>(x: &[f32; GROUP]) -> [f32; GROUP] {
    let (unit, run) = (unit(GROUP), unit(GROUP) / PLANES);
    let mut places = [0.0; GROUP];
    for (from, to) in x.chunks_exact(unit).zip(places.chunks_exact_mut(unit)) {
        for (plane, to) in to.chunks_exact_mut(run).enumerate() {
            for (i, to) in to.iter_mut().enumerate() {
                *to = from[i * PLANES + plane];
            }
        }
    }
    places
}

/// Column of a group whose integer lies at `place` of it.
pub(crate) const fn column_at(bits: usize, group: usize, place: usize) -> usize {
    let (unit, planes) = (unit(group), planes(bits));
    let run = unit / planes;
    let within = place % unit;
    place - within + (within % run) * planes + within / run
}
