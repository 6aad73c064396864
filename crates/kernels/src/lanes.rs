//! What a kernel may do to numbers: one at a time or sixteen at a time, with the same results.

/// Elements that one step of a sum takes.
pub(crate) const LANES: usize = 16;

/// One f32 or sixteen, with IEEE operations that round once to nearest even. Formulas that take
/// every element for itself are written against this, so that a remainder of fewer than sixteen
/// goes through the same operations one by one.
pub(crate) trait Num: Copy {
    /// How many elements.
    const WIDTH: usize;
    fn splat(value: f32) -> Self;
    /// The first `WIDTH` elements of `from`.
    fn read(from: &[f32]) -> Self;
    /// Into the first `WIDTH` elements of `to`.
    fn write(self, to: &mut [f32]);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn neg(self) -> Self;
    /// self · factor + addend, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `self` where it is greater, else `other`; so also where either is NaN.
    fn max(self, other: Self) -> Self;
    /// `self` where it is less, else `other`; so also where either is NaN.
    fn min(self, other: Self) -> Self;
    /// 2 to the power of each element, which is an integer from -126 to 127. NaN gives anything.
    fn pow2(self) -> Self;
}

/// Sixteen elements, and how stored weights become them.
pub(crate) trait Lanes: Num {
    /// Whether products work on several rows at once; it changes the speed and no bit.
    const SEVERAL_ROWS: bool;
    /// Whether registers hold the sums of sixteen products and what they are made of.
    const WIDE: bool;
    fn from_f32(bytes: &[u8; 64]) -> Self;
    fn from_f16(bytes: &[u8; 32]) -> Self;
    fn from_bf16(bytes: &[u8; 32]) -> Self;
    fn from_fp8(bytes: &[u8; 16]) -> Self;
    /// Sixteen integers of `BITS` bits each, in 2 × `BITS` bytes, the least significant bit first.
    fn unpack<const BITS: usize>(bytes: &[u8]) -> Self;
    /// The first `count` lanes; the others are zero, whatever they were.
    fn first(self, count: usize) -> Self;
    /// Lane l is the lane of `table` whose number is integer l of [`Lanes::unpack`]. The lanes of
    /// `table` repeat every 2^`BITS`; `BITS` is at most 4.
    fn look_up<const BITS: usize>(table: Self, bytes: &[u8]) -> Self;
    /// The exclusive or of the bits of each lane.
    fn xor(self, other: Self) -> Self;
    /// The lanes added: l and l+8, then l and l+4, l+2, l+1.
    fn sum(self) -> f32;
    /// [`Lanes::sum`] of each.
    #[inline(always)]
    fn sums<const N: usize>(all: [Self; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        for n in 0..N {
            sums[n] = all[n].sum();
        }
        sums
    }
    /// Says that the line of the cache with this address will be read soon. Any address will do.
    #[inline(always)]
    fn announce(address: *const u8) {
        let _ = address;
    }

    /// The greatest of the lanes by [`Num::max`], in the same order as [`Lanes::sum`].
    #[inline(always)]
    fn largest(self) -> f32 {
        let mut lanes = [0.0; LANES];
        self.write(&mut lanes);
        for half in [8, 4, 2, 1] {
            for l in 0..half {
                lanes[l] = Num::max(lanes[l], lanes[l + half]);
            }
        }
        lanes[0]
    }
}

/// Fewer than sixteen elements, filled up.
#[inline(always)]
pub(crate) fn padded(from: &[f32], fill: f32) -> [f32; LANES] {
    let mut lanes = [fill; LANES];
    lanes[..from.len()].copy_from_slice(from);
    lanes
}
