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
pub(crate) const BLOCK: usize = 8;

/// Vectors [n, cols] as integers: x ≈ step · integer for each group. They lie in blocks of `width`,
/// the last of which may hold fewer.
#[derive(Clone, Copy)]
pub(crate) struct Quantised<'a> {
    /// [blocks, groups, width, 2, group]: the upper bytes of a group, then the lower ones; behind
    /// each block lies [`PADDING`].
    pub(crate) ints: &'a [i8],
    /// 1 or [`BLOCK`].
    pub(crate) width: usize,
    /// Bytes from one block to the next.
    pub(crate) stride: usize,
    /// [blocks, padded groups, width]
    pub(crate) steps: &'a [f32],
    /// step · Σ integers: [blocks, padded groups, width].
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
        let shared = self.steps.len() / self.n.div_ceil(self.width);
        let (skipped, blocks) = (first / self.width, count.div_ceil(self.width));
        Quantised {
            ints: &self.ints[skipped * self.stride..][..blocks * self.stride],
            steps: &self.steps[skipped * shared..][..blocks * shared],
            sums: &self.sums[skipped * shared..][..blocks * shared],
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
    fn blocks(&self) -> usize {
        self.n().div_ceil(self.width)
    }
    /// Of the integers of a block.
    fn stride(&self) -> usize {
        self.width * 2 * self.cols + PADDING
    }
    /// Steps of a block.
    fn shared(&self) -> usize {
        self.width * self.order.padded_groups(self.cols)
    }
}

/// The vectors of a block, and where their integers go.
pub(crate) struct Row<'x, 'a> {
    /// [up to width, cols]
    pub(crate) x: &'x [f32],
    pub(crate) cols: usize,
    pub(crate) order: Order,
    pub(crate) width: usize,
    pub(crate) ints: &'a mut [i8],
    pub(crate) steps: &'a mut [f32],
    pub(crate) sums: &'a mut [f32],
}

impl Activations {
    /// The most bytes that `rows` vectors of up to `cols` columns take, in every order that
    /// matrices of these layouts ask for.
    pub(crate) fn bytes(rows: usize, cols: usize, quants: &[Quant]) -> usize {
        let mut orders: Vec<Order> = Vec::new();
        for order in quants.iter().filter_map(|quant| Order::of(*quant)) {
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
        let bytes =
            |order: &Order| 2 * cols + PADDING + order.padded_groups(cols) * 2 * size_of::<f32>();
        rows.next_multiple_of(BLOCK) * orders.iter().map(bytes).sum::<usize>() + LINE
    }

    /// Every block of every set, with places that nobody has filled.
    pub(crate) fn rows<'x, 'a>(&'a mut self, wanted: &[Wanted<'x>]) -> Vec<Row<'x, 'a>> {
        let shared = wanted.iter().map(|wanted| wanted.blocks() * wanted.shared()).sum();
        self.ints.grow(wanted.iter().map(|wanted| wanted.blocks() * wanted.stride()).sum());
        grow(&mut self.steps, shared);
        grow(&mut self.sums, shared);
        let (mut ints, mut steps, mut sums) =
            (self.ints.all_mut(), &mut self.steps[..], &mut self.sums[..]);
        let mut rows = Vec::with_capacity(wanted.iter().map(Wanted::blocks).sum());
        for wanted in wanted {
            let &Wanted { x, cols, order, width } = wanted;
            for x in x.chunks(width * cols) {
                let own = ints.split_off_mut(..wanted.stride()).expect(GROWN);
                rows.push(Row {
                    x,
                    cols,
                    order,
                    width,
                    ints: &mut own[..wanted.stride() - PADDING],
                    steps: steps.split_off_mut(..wanted.shared()).expect(GROWN),
                    sums: sums.split_off_mut(..wanted.shared()).expect(GROWN),
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
            ints += wanted.blocks() * wanted.stride();
            shared += wanted.blocks() * wanted.shared();
            Quantised {
                ints: &all[first_int..ints],
                width: wanted.width,
                stride: wanted.stride(),
                steps: &self.steps[first_shared..shared],
                sums: &self.sums[first_shared..shared],
                first: 0,
                n: wanted.n(),
            }
        };
        wanted.iter().map(view).collect()
    }
}
