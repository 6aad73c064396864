//! Outputs that many threads write: each takes parts that nobody else gets, by counters.

// The borrow checker cannot see that a counter gives every number once.
#![allow(unsafe_code, reason = "several threads write disjoint elements of one slice")]

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pool::Apart;

/// A matrix [vectors, rows] that is written by columns: a part is a range of them in every vector.
pub(crate) struct Columns<'a> {
    first: *mut f32,
    vectors: usize,
    rows: usize,
    /// Rows a part.
    step: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: threads that share it get disjoint parts (see `Parts::take`), and f32 may go to any thread.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// `out` has `rows` elements for each vector.
    pub(crate) fn new(out: &'a mut [f32], rows: usize, step: usize) -> Columns<'a> {
        let vectors = out.len() / rows;
        Columns { first: out.as_mut_ptr(), vectors, rows, step, borrow: PhantomData }
    }

    fn parts(&self) -> usize {
        self.rows.div_ceil(self.step)
    }
}

/// All parts of several outputs, in order. Each thread has a share of neighbours, so that what it
/// reads for the next part follows what it read for the last one, and then helps the others.
pub(crate) struct Parts<'a> {
    outputs: Vec<Columns<'a>>,
    /// The number of each output's first part.
    firsts: Vec<usize>,
    total: usize,
    /// Each thread's next part.
    next: Vec<Apart<AtomicUsize>>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(outputs: Vec<Columns<'a>>, threads: usize) -> Parts<'a> {
        let mut total = 0;
        let first = |columns: &Columns<'_>| {
            total += columns.parts();
            total - columns.parts()
        };
        let firsts = outputs.iter().map(first).collect();
        let mut parts = Parts { outputs, firsts, total, next: Vec::with_capacity(threads) };
        for thread in 0..threads {
            let first = AtomicUsize::new(total * thread / threads);
            parts.next.push(Apart(first));
        }
        parts
    }

    pub(crate) fn len(&self) -> usize {
        self.total
    }

    /// A part that nobody has, and which output's it is.
    pub(crate) fn take(&self, thread: usize) -> Option<(usize, Part<'_>)> {
        let threads = self.next.len();
        for owner in (thread..threads).chain(0..thread) {
            let end = self.total * (owner + 1) / threads;
            let next = &self.next[owner].0;
            // A counter stays near its end: it is looked at before it is moved.
            if next.load(Ordering::Relaxed) < end {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number < end {
                    return Some(self.part(number));
                }
            }
        }
        None
    }

    fn part(&self, number: usize) -> (usize, Part<'_>) {
        // Outputs without rows have no parts and the number of the one behind them.
        let output = self.firsts.partition_point(|first| *first <= number) - 1;
        let whole = &self.outputs[output];
        let start = (number - self.firsts[output]) * whole.step;
        (output, Part { whole, rows: start..whole.rows.min(start + whole.step) })
    }
}

/// Some rows of every vector, to be written by one thread.
pub(crate) struct Part<'a> {
    whole: &'a Columns<'a>,
    rows: Range<usize>,
}

impl<'a> Part<'a> {
    /// Keeps a multiple of `of` rows and gives the others, fewer than `of`, if there are any.
    pub(crate) fn split_off_rest(&mut self, of: usize) -> Option<Part<'a>> {
        let middle = self.rows.end - self.rows.len() % of;
        let rest = middle..std::mem::replace(&mut self.rows.end, middle);
        (!rest.is_empty()).then_some(Part { whole: self.whole, rows: rest })
    }

    pub(crate) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Neighbouring rows of one vector, from `row` on.
    #[inline(always)]
    pub(crate) fn put_some(&mut self, vector: usize, row: usize, values: &[f32]) {
        let mine = self.rows.start <= row && values.len() <= self.rows.end.saturating_sub(row);
        assert!(mine && vector < self.whole.vectors, "vector {vector}, rows from {row}");
        // SAFETY: as in `put`, for each of the values.
        unsafe {
            let to = self.whole.first.add(vector * self.whole.rows + row);
            std::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len());
        }
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, vector: usize, row: usize, value: f32) {
        let mine = self.rows.contains(&row) && vector < self.whole.vectors;
        assert!(mine, "vector {vector}, row {row} is not in this part");
        // SAFETY: vector < vectors and row < rows, so the element is in the slice that `new`
        // borrowed for 'a. The row is in `self.rows`, which `Parts` gave to no other part, and
        // nothing else reads or writes the slice while it is borrowed.
        unsafe { self.whole.first.add(vector * self.whole.rows + row).write(value) }
    }
}

/// A slice whose items are handed out one by one.
pub(crate) struct Items<'a, T> {
    first: *mut T,
    len: usize,
    next: AtomicUsize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: threads that share it get disjoint items (see `take`), which are `Send`.
unsafe impl<T: Send> Sync for Items<'_, T> {}

impl<'a, T> Items<'a, T> {
    pub(crate) fn new(items: &'a mut [T]) -> Items<'a, T> {
        let next = AtomicUsize::new(0);
        Items { first: items.as_mut_ptr(), len: items.len(), next, borrow: PhantomData }
    }

    /// The next item that nobody has, and its index.
    #[allow(clippy::mut_from_ref, reason = "each call returns another item")]
    pub(crate) fn take(&self) -> Option<(usize, &mut T)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the index is inside the slice that `new` borrowed for 'a, and the counter gives
        // it once: no other reference to that item exists while `self` is borrowed.
        (index < self.len).then(|| (index, unsafe { &mut *self.first.add(index) }))
    }
}
