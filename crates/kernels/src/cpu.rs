//! Matrices times vectors on several threads, with the same bits for any number of them.

use std::sync::{Mutex, TryLockError};

use crate::ops::matmul::{TILE_ROWS, matmul, padded_cols};
use crate::pool::Pool;
use crate::rows::{Columns, Items};
use crate::{KernelError, Kernels, Matrix};

/// Multiplications of one part of the work: several microseconds.
const PART: usize = 1 << 16;
/// Multiplications below which waking other threads takes longer than the work.
const ALONE: usize = 1 << 15;

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
    /// One for each thread, for decoded rows; it grows to the widest matrix so far.
    scratch: Vec<Mutex<Vec<f32>>>,
}

impl Cpu {
    /// `threads` counts the calling thread: 1 starts none.
    ///
    /// # Errors
    /// When `threads` is 0 or more than 1024, or the system refuses a thread.
    pub fn new(kernels: &'static Kernels, threads: usize) -> Result<Cpu, KernelError> {
        let pool = Pool::new(threads)?;
        let scratch = (0..threads).map(|_| Mutex::default()).collect();
        Ok(Cpu { kernels, pool, scratch })
    }

    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// The most that matrices of up to `cols` columns leave allocated. Products with one vector
    /// need none.
    pub const fn scratch_bytes(cols: usize, threads: usize) -> usize {
        threads * TILE_ROWS * padded_cols(cols) * size_of::<f32>()
    }

    /// out[t][r] = dot(decode_row(w, r), x[t]) for every vector t and row r: `x` is [n, cols],
    /// `out` [n, rows]. The same bits for every n, every number of threads and every table.
    pub fn matmul(&self, w: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
        self.matmul_each(&mut [Product { matrix: *w, x, out }]);
    }

    /// [`Cpu::matmul`] of several matrices, in one go.
    pub fn matmul_each(&self, products: &mut [Product<'_>]) {
        let (mut total, mut parts) = (0_usize, 0);
        let mut jobs = Vec::with_capacity(products.len());
        for product in products {
            let (rows, cols) = (product.matrix.rows(), product.matrix.cols());
            let n = product.x.len() / cols;
            assert!(
                n * cols == product.x.len(),
                "x: {} elements of {cols} columns",
                product.x.len()
            );
            assert!(n * rows == product.out.len(), "out: {} of {n} x {rows}", product.out.len());
            if n == 0 {
                continue;
            }
            total = total.saturating_add(rows.saturating_mul(product.x.len()));
            let step = (PART / product.x.len()).max(1).next_multiple_of(TILE_ROWS);
            parts += rows.div_ceil(step);
            jobs.push((product.matrix, product.x, Columns::new(product.out, rows, step)));
        }
        let work = |index: usize| {
            let mut spare = Vec::new();
            let mut own = match self.scratch[index].try_lock() {
                Ok(own) => Some(own),
                Err(TryLockError::Poisoned(own)) => Some(own.into_inner()),
                // Only calls from inside a task can meet here; theirs is freed at once.
                Err(TryLockError::WouldBlock) => None,
            };
            let scratch = own.as_deref_mut().unwrap_or(&mut spare);
            for (matrix, x, columns) in &jobs {
                while let Some(mut part) = columns.take() {
                    matmul(self.kernels, matrix, x, &mut part, scratch);
                }
            }
        };
        if total < ALONE { work(0) } else { self.pool.run(parts, &work) }
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
        let count = items.len();
        let items = Items::new(items);
        self.pool.run(count, &|_| {
            while let Some((index, item)) = items.take() {
                work(index, item);
            }
        });
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
