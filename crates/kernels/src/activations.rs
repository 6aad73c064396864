//! Vectors as integers of fifteen bits, each in two bytes, in the order in which packed weights are unpacked.

use crate::Quant;
use crate::scratch::{LINE, Lines, grow};

/// Why there is a place for every row.
const GROWN: &str = "the buffers were grown for all of them";

/// Groups that one step of a product takes; a vector is filled up to whole steps.
pub(crate) const GROUPS: usize = 16;

/// Bytes between vectors: without them vectors of 2048 columns would lie in the same lines of the
/// cache, and several of them are read together.
const PADDING: usize = LINE;

/// Where the integers of a group lie. Weights of 2, 4 or 8 bits fill whole bytes, so shifting a
/// run of bytes gives every fourth, second or single weight of it: the integers of a vector are
/// laid in the same order, plane by plane, once for all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Columns that share one step.
    pub(crate) group: usize,
    /// Planes of a unit: 4, 2 or 1.
    pub(crate) planes: usize,
}

impl Order {
    /// The order for a layout, if products of integers know it.
    pub(crate) fn of(quant: Quant) -> Option<Order> {
        match quant {
            Quant::Affine { bits, group, .. } => Some(Order { group, planes: planes(bits) }),
            Quant::Plain(_) | Quant::Fp8Block { .. } => None,
        }
    }

    /// Groups of a vector, filled up to whole steps.
    pub(crate) fn padded_groups(self, cols: usize) -> usize {
        cols.div_ceil(self.group).next_multiple_of(GROUPS)
    }
}

/// Weights of a byte that are unpacked by one shift each; 1 where they straddle bytes.
pub(crate) const fn planes(bits: usize) -> usize {
    match bits {
        2 => 4,
        4 => 2,
        _ => 1,
    }
}

/// Columns whose planes lie together.
pub(crate) const fn unit(group: usize) -> usize {
    if group < 64 { group } else { 64 }
}

/// Vectors of a block, where a table takes several side by side.
pub(crate) const WHOLE_BLOCK: usize = 16;
/// Those of the last block, where no more are left.
pub(crate) const HALF_BLOCK: usize = WHOLE_BLOCK / 2;

/// Places that so many vectors take in blocks of `width`.
const fn places(width: usize, vectors: usize) -> usize {
    let least = if width == WHOLE_BLOCK { HALF_BLOCK } else { width };
    let rest = vectors % width;
    // More than half a block is a whole one.
    let last = if rest > least { width } else { rest.next_multiple_of(least) };
    vectors - rest + last
}

/// Vectors [n, cols] as integers: x ≈ step · integer for each group. They lie in blocks of `width`,
/// the last of which may hold fewer, and is half a block if that is enough.
#[derive(Clone, Copy)]
pub(crate) struct Quantised<'a> {
    /// One vector is [groups, 2, group]: the upper bytes of a group, then the lower ones. Those of
    /// a block lie side by side, four integers of each: [groups, 2, group / 4, vectors, 4] of
    /// sixteen, [groups, group / 4, 2, vectors, 4] of eight. Behind each block lies [`PADDING`].
    pub(crate) ints: &'a [i8],
    /// 1 or [`WHOLE_BLOCK`].
    pub(crate) width: usize,
    /// Bytes from one block to the next.
    pub(crate) stride: usize,
    /// [blocks, padded groups, vectors of the block]
    pub(crate) steps: &'a [f32],
    /// step · Σ integers, like the steps.
    pub(crate) sums: &'a [f32],
    /// Where the first of them stands in the whole product.
    pub(crate) first: usize,
    pub(crate) n: usize,
}

impl<'a> Quantised<'a> {
    /// One of vectors that are not side by side.
    #[inline(always)]
    pub(crate) fn vector(&self, index: usize) -> Vector<'a> {
        let groups = self.steps.len() / self.n;
        Vector {
            ints: &self.ints[index * self.stride..][..self.stride - PADDING],
            steps: &self.steps[index * groups..][..groups],
            sums: &self.sums[index * groups..][..groups],
        }
    }

    /// Up to `count` of them from `first` on, which begins a block.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only AMX divides them"))]
    #[inline(always)]
    pub(crate) fn some(&self, first: usize, count: usize) -> Quantised<'a> {
        let count = count.min(self.n - first);
        let (places, skipped) = (places(self.width, count), first / self.width);
        let shared = self.steps.len() / self::places(self.width, self.n);
        let bytes = (self.stride - PADDING) / self.width * places;
        let padding = count.div_ceil(self.width) * PADDING;
        Quantised {
            ints: &self.ints[skipped * self.stride..][..bytes + padding],
            steps: &self.steps[first * shared..][..places * shared],
            sums: &self.sums[first * shared..][..places * shared],
            width: self.width,
            stride: self.stride,
            first: self.first + first,
            n: count,
        }
    }
}

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct Vector<'a> {
    pub(crate) ints: &'a [i8],
    pub(crate) steps: &'a [f32],
    pub(crate) sums: &'a [f32],
}

/// Room for the vectors of one call; it grows to the largest call so far.
#[derive(Default)]
pub(crate) struct Activations {
    ints: Lines<i8>,
    steps: Vec<f32>,
    sums: Vec<f32>,
}

/// A set of vectors to be quantised.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'x> {
    pub(crate) x: &'x [f32],
    pub(crate) cols: usize,
    pub(crate) order: Order,
    /// Vectors side by side.
    pub(crate) width: usize,
}

impl Wanted<'_> {
    fn n(&self) -> usize {
        self.x.len() / self.cols
    }
    /// Of the integers of so many vectors that make one block.
    fn stride(&self, vectors: usize) -> usize {
        places(self.width, vectors) * 2 * self.cols + PADDING
    }
    /// Of the integers of all.
    fn ints(&self) -> usize {
        let padding = self.n().div_ceil(self.width) * PADDING;
        places(self.width, self.n()) * 2 * self.cols + padding
    }
    /// Steps of so many vectors.
    fn shared(&self, vectors: usize) -> usize {
        places(self.width, vectors) * self.order.padded_groups(self.cols)
    }
}

/// The vectors of a block, and where their integers go.
pub(crate) struct Row<'x, 'a> {
    /// [up to `width`, cols]
    pub(crate) x: &'x [f32],
    pub(crate) cols: usize,
    pub(crate) order: Order,
    /// Vectors that the block has places for.
    pub(crate) width: usize,
    pub(crate) ints: &'a mut [i8],
    pub(crate) steps: &'a mut [f32],
    pub(crate) sums: &'a mut [f32],
}

impl Activations {
    /// The most bytes that `rows` vectors of up to `cols` columns in `sets` sets take, in every
    /// order that matrices of these layouts ask for.
    pub(crate) fn bytes((rows, sets): (usize, usize), cols: usize, quants: &[Quant]) -> usize {
        let mut orders: Vec<Order> = Vec::new();
        for order in quants.iter().filter_map(|quant| Order::of(*quant)) {
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
        let bytes =
            |order: &Order| 2 * cols + PADDING + order.padded_groups(cols) * 2 * size_of::<f32>();
        // Each set is filled up to half a block, and its vectors are one at least.
        let places = rows + sets.min(rows) * (HALF_BLOCK - 1);
        places * orders.iter().map(bytes).sum::<usize>() + LINE
    }

    /// Every block of every set, with places that nobody has filled.
    pub(crate) fn rows<'x, 'a>(&'a mut self, wanted: &[Wanted<'x>]) -> Vec<Row<'x, 'a>> {
        let shared = wanted.iter().map(|wanted| wanted.shared(wanted.n())).sum();
        self.ints.grow(wanted.iter().map(Wanted::ints).sum());
        grow(&mut self.steps, shared);
        grow(&mut self.sums, shared);
        let (mut ints, mut steps, mut sums) =
            (self.ints.all_mut(), &mut self.steps[..], &mut self.sums[..]);
        let blocks = wanted.iter().map(|wanted| wanted.n().div_ceil(wanted.width)).sum();
        let mut rows = Vec::with_capacity(blocks);
        for wanted in wanted {
            let &Wanted { x, cols, order, width } = wanted;
            for x in x.chunks(width * cols) {
                let vectors = x.len() / cols;
                let (stride, shared) = (wanted.stride(vectors), wanted.shared(vectors));
                let own = ints.split_off_mut(..stride).expect(GROWN);
                rows.push(Row {
                    x,
                    cols,
                    order,
                    width: places(width, vectors),
                    ints: &mut own[..stride - PADDING],
                    steps: steps.split_off_mut(..shared).expect(GROWN),
                    sums: sums.split_off_mut(..shared).expect(GROWN),
                });
            }
        }
        rows
    }

    /// The sets again, once their rows are filled.
    pub(crate) fn views<'a>(&'a self, wanted: &[Wanted<'_>]) -> Vec<Quantised<'a>> {
        let all = self.ints.all();
        let (mut ints, mut shared) = (0, 0);
        let view = |wanted: &Wanted<'_>| {
            let (first_int, first_shared) = (ints, shared);
            ints += wanted.ints();
            shared += wanted.shared(wanted.n());
            Quantised {
                ints: &all[first_int..ints],
                width: wanted.width,
                stride: wanted.stride(wanted.width),
                steps: &self.steps[first_shared..shared],
                sums: &self.sums[first_shared..shared],
                first: 0,
                n: wanted.n(),
            }
        };
        wanted.iter().map(view).collect()
    }
}
