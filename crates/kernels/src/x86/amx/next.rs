//! Requests for what the next sixteen rows need.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

use crate::Matrix;
use crate::dots::TILE;
use crate::scratch::LINE;

/// What the next sixteen rows need, asked for a share at a time: as many requests as the processor
/// keeps open would hold it up if they came at once. The second cache is near enough.
pub(super) struct Next {
    planes: [Request; 3],
    /// Shares that make up the whole.
    shares: usize,
}

#[derive(Clone, Copy)]
struct Request {
    next: *const u8,
    lines: usize,
    /// What is due, in lines times shares.
    due: usize,
}

impl Next {
    #[inline(always)]
    pub(super) fn of(m: &Matrix<'_>, first: usize, shares: usize) -> Next {
        if first + TILE > m.rows() {
            return Next::nothing();
        }
        let planes = m.planes();
        let planes = [planes.weights, planes.scales, planes.biases].map(|plane| {
            let bytes = plane.len() / m.rows();
            let next = plane[first * bytes..].as_ptr();
            Request { next, lines: (TILE * bytes).div_ceil(LINE), due: 0 }
        });
        Next { planes, shares }
    }

    #[inline(always)]
    pub(super) fn nothing() -> Next {
        let none = Request { next: std::ptr::null(), lines: 0, due: 0 };
        Next { planes: [none; 3], shares: 1 }
    }

    #[inline(always)]
    pub(super) fn announce(&mut self) {
        for Request { next, lines, due } in &mut self.planes {
            *due += *lines;
            while *due >= self.shares {
                *due -= self.shares;
                // A gap that closes again makes the processor fetch it, and more behind it, by
                // itself, which our own requests alone do not.
                if next.addr() / LINE % 4 != 3 {
                    // SAFETY: the table's instructions; a request touches nothing.
                    unsafe { _mm_prefetch::<_MM_HINT_T1>(next.cast()) }
                }
                *next = next.wrapping_add(LINE);
            }
        }
    }
}
