//! Matrices times vectors on several threads, with the same bits for any number of them.

use std::sync::Mutex;

use crate::activations::{Activations, Order, Quantised, WHOLE_BLOCK, Wanted};
use crate::attention::Buffers;
use crate::dots::TILE;
use crate::ops::integers::TileScratch;
use crate::ops::matmul::{TILE_ROWS, matmul, padded_cols};
use crate::ops::rows::is_shared;
use crate::pool::Pool;
use crate::rows::{Columns, Items, Part, Parts};
use crate::scratch;
use crate::{KernelError, Kernels, Matrix, Quant};

/// Multiplications of one part of the work: several microseconds.
pub(crate) const PART: usize = 1 << 16;
/// Tiles of a part, if the matrix has enough for that.
const TILES: usize = 4;
/// Elements of vectors that a thread finds in its cache for each part; where there are more, parts
/// are larger, because every part reads all vectors again.
const CACHED: usize = 1 << 18;
const MANY_TILES: usize = 16;
/// Parts for each thread below which that would be too many.
const SHARES: usize = 4;
/// Multiplications below which waking other threads takes longer than the work.
const ALONE: usize = 1 << 15;

/// Why there is a function for vectors side by side.
const BLOCKS: &str = "vectors lie side by side only where the table asks for it";

/// A matrix [rows, cols], vectors [n, cols] and the place for the results [n, rows].
#[derive(Debug)]
pub struct Product<'a> {
    pub matrix: Matrix<'a>,
    pub x: &'a [f32],
    pub out: &'a mut [f32],
}

/// A table of functions and the threads that run them. One call at a time is spread over the
/// threads; calls from other threads wait for it.
pub struct Cpu {
    kernels: &'static Kernels,
    pool: Pool,
    precision: Precision,
    /// One for each thread; it grows to the widest matrix so far.
    scratch: Vec<Mutex<Scratch>>,
    /// The vectors of the call that runs.
    activations: Mutex<Activations>,
    pub(crate) attention: Buffers,
}

/// How products with packed integers are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Weights are decoded to f32 and multiplied with vectors of f32.
    Exact,
    /// Vectors become integers of fifteen bits, with one step for as many elements as share a scale
    /// of the weights: step = max |x| / 16256. The sums of a group's products are exact, and group i
    /// goes to lane i mod 16 of the sum: by fused multiply-add scale · (step · Σ q·integer), then
    /// bias · (step · Σ integer). Matrices that are not affine are multiplied exactly.
    Fast,
}

impl Precision {
    pub const fn name(self) -> &'static str {
        match self {
            Precision::Exact => "exact",
            Precision::Fast => "fast",
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A matrix and its vectors, to be shared out.
struct Job<'a> {
    matrix: Matrix<'a>,
    x: X<'a>,
}

enum X<'a> {
    Floats(&'a [f32]),
    Ints(Quantised<'a>),
}

/// What one thread needs.
#[derive(Default)]
struct Scratch {
    /// Decoded rows.
    rows: Vec<f32>,
    tile: TileScratch,
}

/// The sets of vectors that are needed as integers, each once, and which one each product has.
fn wanted<'x>(
    kernels: &Kernels,
    precision: Precision,
    products: &[Product<'x>],
) -> (Vec<Wanted<'x>>, Vec<Option<usize>>) {
    let mut wanted: Vec<Wanted<'x>> = Vec::new();
    let find = |product: &Product<'x>| {
        let order = match precision {
            Precision::Exact => None,
            Precision::Fast => Order::of(product.matrix.quant()),
        }?;
        let cols = product.matrix.cols();
        let width = match &kernels.blocks {
            Some(blocks) if product.x.len() / cols >= blocks.from => WHOLE_BLOCK,
            _ => 1,
        };
        let new = Wanted { x: product.x, cols, order, width };
        let same = |old: &Wanted<'_>| {
            std::ptr::eq(old.x, new.x) && old.cols == new.cols && old.order == new.order
        };
        wanted.iter().position(same).or_else(|| {
            wanted.push(new);
            Some(wanted.len() - 1)
        })
    };
    let of_product = products.iter().map(find).collect();
    (wanted, of_product)
}

/// The multiplications of all products, whose lengths fit.
fn check(products: &[Product<'_>]) -> usize {
    let mut total = 0_usize;
    for product in products {
        let (rows, cols) = (product.matrix.rows(), product.matrix.cols());
        let n = product.x.len() / cols;
        assert!(n * cols == product.x.len(), "x: {} elements of {cols} columns", product.x.len());
        assert!(n * rows == product.out.len(), "out: {} of {n} x {rows}", product.out.len());
        total = total.saturating_add(rows.saturating_mul(product.x.len()));
    }
    total
}

impl Cpu {
    /// `threads` counts the calling thread: 1 starts none.
    ///
    /// # Errors
    /// When `threads` is 0 or more than 1024, or the system refuses a thread.
    pub fn new(
        kernels: &'static Kernels,
        threads: usize,
        precision: Precision,
    ) -> Result<Cpu, KernelError> {
        let pool = Pool::new(threads)?;
        let scratch = (0..threads).map(|_| Mutex::default()).collect();
        let attention = Buffers::new(threads);
        Ok(Cpu { kernels, pool, precision, scratch, activations: Mutex::default(), attention })
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// The most that calls leave allocated, with up to `rows` vectors of up to `cols` columns a
    /// call, in up to `sets` slices, and matrices of these layouts.
    pub fn scratch_bytes(
        precision: Precision,
        (rows, sets, cols): (usize, usize, usize),
        quants: &[Quant],
        threads: usize,
    ) -> usize {
        let decoded = threads * TILE_ROWS * padded_cols(cols) * size_of::<f32>();
        match precision {
            Precision::Exact => decoded,
            Precision::Fast => {
                decoded
                    + threads * TileScratch::bytes(cols)
                    + Activations::bytes((rows, sets), cols, quants)
            }
        }
    }

    /// out[t][r] = dot(decode_row(w, r), x[t]) for every vector t and row r: `x` is [n, cols],
    /// `out` [n, rows]. The same bits for every n, every number of threads and every table.
    /// In [`Precision::Fast`] see there what a packed matrix gives.
    pub fn matmul(&self, w: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
        self.matmul_each(&mut [Product { matrix: *w, x, out }]);
    }

    /// [`Cpu::matmul`] of several matrices, in one go.
    pub fn matmul_each(&self, products: &mut [Product<'_>]) {
        self.matmul_in(self.precision, products);
    }

    /// [`Cpu::matmul_each`] in a precision of the caller's choice.
    pub fn matmul_in(&self, precision: Precision, products: &mut [Product<'_>]) {
        let total = check(products);
        let (wanted, of_product) = wanted(self.kernels, precision, products);
        scratch::with(&self.activations, |activations| {
            let mut rows = activations.rows(&wanted);
            let elements: usize = rows.iter().map(|row| row.x.len()).sum();
            let each = elements / rows.len().max(1);
            self.each_of(each, &mut rows, |_, row| (self.kernels.quantise)(row));
            let views = activations.views(&wanted);
            let mut jobs = Vec::with_capacity(products.len());
            let mut outputs = Vec::with_capacity(products.len());
            for (product, view) in products.iter_mut().zip(of_product) {
                if product.x.is_empty() {
                    continue;
                }
                let x = view.map_or(X::Floats(product.x), |index| X::Ints(views[index]));
                let step = self.rows_of_part(product);
                outputs.push(Columns::new(product.out, product.matrix.rows(), step));
                jobs.push(Job { matrix: product.matrix, x });
            }
            let parts = Parts::new(outputs, self.threads());
            let work = |index: usize| {
                scratch::with(&self.scratch[index], |own| {
                    while let Some((job, part)) = parts.take(index) {
                        self.multiply(&jobs[job], part, own);
                    }
                });
            };
            if total < ALONE { work(0) } else { self.pool.run(parts.len(), &work) }
        });
    }

    /// How many rows a thread takes at a time: enough work, and several tiles in a row, because
    /// what is unpacked asks for the next tile; fewer where not every thread would get its share.
    fn rows_of_part(&self, product: &Product<'_>) -> usize {
        let share = product.matrix.rows() / (SHARES * self.threads());
        let cached = product.x.len() <= CACHED;
        let least = share.min(if cached { TILES } else { MANY_TILES } * TILE);
        (PART / product.x.len()).max(least).max(1).next_multiple_of(TILE)
    }

    /// Vectors up to which rows are multiplied one by one.
    fn rows_up_to(&self, matrix: &Matrix<'_>) -> usize {
        match matrix.quant() {
            Quant::Affine { bits, group, .. } if is_shared(bits, group) => self.kernels.rows_up_to,
            _ => 1,
        }
    }

    fn multiply(&self, Job { matrix, x }: &Job<'_>, mut part: Part<'_>, own: &mut Scratch) {
        match x {
            X::Floats(x) => matmul(self.kernels, matrix, x, &mut part, &mut own.rows),
            X::Ints(x) if x.width > 1 => {
                let blocks = self.kernels.blocks.as_ref().expect(BLOCKS);
                (blocks.multiply)(matrix, x, &mut part, &mut own.tile);
            }
            X::Ints(x) => {
                let rest = if x.n <= self.rows_up_to(matrix) {
                    Some(part)
                } else {
                    let rest = part.split_off_rest(TILE);
                    (self.kernels.many_vectors)(matrix, x, &mut part, &mut own.tile);
                    rest
                };
                if let Some(mut rows) = rest {
                    (self.kernels.few_vectors)(matrix, x, &mut rows);
                }
            }
        }
    }

    /// [`Cpu::each`], where `work` is told first the index of the thread that has the item.
    pub(crate) fn each_on<T: Send>(
        &self,
        items: &mut [T],
        work: impl Fn(usize, usize, &mut T) + Sync,
    ) {
        let count = items.len();
        let items = Items::new(items);
        self.pool.run(count, &|thread| {
            while let Some((index, item)) = items.take() {
                work(thread, index, item);
            }
        });
    }

    /// Calls `work` with every item and its index, on all threads; in which order is not said.
    /// What `work` itself asks of a `Cpu` is done by its own thread.
    ///
    /// An item should take some microseconds at least: see [`Cpu::each_of`]. A single one is done
    /// by the calling thread.
    ///
    /// # Panics
    /// When `work` does; items that no thread has begun by then may stay undone.
    pub fn each<T: Send>(&self, items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
        self.each_on(items, |_, index, item| work(index, item));
    }

    /// As [`Cpu::each`], where an item takes about so many multiplications: the calling thread does
    /// all of them itself where that is faster than waking another.
    pub fn each_of<T: Send>(
        &self,
        multiplications: usize,
        items: &mut [T],
        work: impl Fn(usize, &mut T) + Sync,
    ) {
        if items.len().saturating_mul(multiplications) >= ALONE {
            return self.each(items, work);
        }
        for (index, item) in items.iter_mut().enumerate() {
            work(index, item);
        }
    }
}

impl std::fmt::Debug for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cpu({}, {} threads)", self.kernels.isa(), self.threads())
    }
}
