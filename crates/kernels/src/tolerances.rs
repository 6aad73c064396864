//! Every bound below which two results count as equal, by name, each with its cause.

/// The largest absolute difference that is accepted somewhere, and why it cannot be 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub name: &'static str,
    pub bound: f32,
    pub cause: &'static str,
}

impl Tolerance {
    /// Whether `a` and `b` count as equal; a NaN never does.
    pub fn accepts(&self, a: f32, b: f32) -> bool {
        (a - b).abs() <= self.bound
    }
}

/// Hidden states against the Python oracle.
pub const HIDDEN: Tolerance = Tolerance {
    name: "hidden",
    bound: 2e-3,
    cause: "f32 sums in another order; the oracle differs from itself by 1e-4 when it cuts the \
            sequence elsewhere",
};

/// Logits against the Python oracle, whose standard deviation is 3.
pub const LOGITS: Tolerance = Tolerance { name: "logits", bound: 2e-3, cause: HIDDEN.cause };

/// Router logits against the Python oracle: smaller numbers, and a choice hangs on them.
pub const ROUTER_LOGITS: Tolerance =
    Tolerance { name: "router logits", bound: 5e-4, cause: HIDDEN.cause };

/// Recurrent states and cached keys and values against the Python oracle.
pub const STATES: Tolerance = Tolerance { name: "states", bound: 2e-3, cause: HIDDEN.cause };

/// Affine products against MLX's own, of 256 columns with results near 10.
pub const MLX_PRODUCT: Tolerance = Tolerance {
    name: "mlx product",
    bound: 1e-4,
    cause: "MLX factors scale and bias out of a group's sum and adds in another order",
};

/// Other forms of products and of the delta rule against f64, of up to 4096 columns with results
/// near 1.
pub const LADDER: Tolerance =
    Tolerance { name: "ladder", bound: 2e-5, cause: "each form rounds f32 in an order of its own" };

/// Products with vectors of integers against f64, with results near 1.
pub const INTEGERS: Tolerance = Tolerance {
    name: "integers",
    bound: 4e-4,
    cause: "an element is off by up to half a step, which is 1/32512 of the greatest of its group",
};

/// Divergence (KL, in nats, mean) of the built-in model with keys and values as halves from itself
/// with f32. Measured: 1.4e-5.
pub const KV_F16: Tolerance = Tolerance {
    name: "kv f16",
    bound: 1e-4,
    cause: "keys and values are rounded to 11 bits, and now and then that turns a router's choice",
};

/// As [`KV_F16`], with keys and values as bytes. Measured: 1.0e-3.
pub const KV_Q8: Tolerance = Tolerance {
    name: "kv q8",
    bound: 5e-3,
    cause: "keys and values are rounded to 8 bits of the greatest of 32, which turns more of them",
};

pub const ALL: [Tolerance; 9] =
    [HIDDEN, LOGITS, ROUTER_LOGITS, STATES, MLX_PRODUCT, LADDER, INTEGERS, KV_F16, KV_Q8];
