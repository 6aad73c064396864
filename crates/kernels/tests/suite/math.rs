//! Exponentials against f64, at the borders of what f32 holds, and with numbers that are none.

use kernels::{exp, sigmoid, softplus};

use crate::numbers::Rng;

/// How many units in the last place of `expected` lie between.
fn units(found: f32, expected: f64) -> f64 {
    let near = expected as f32;
    let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
    (f64::from(found) - expected).abs() / unit
}

#[test]
fn exp_is_within_two_units_over_its_whole_range() {
    let mut rng = Rng::new(1);
    let mut worst: f64 = 0.0;
    for _ in 0..400_000 {
        // e^-87.3 is the least normal result.
        let x = rng.float() * 88.0 + 0.7;
        worst = worst.max(units(exp(x), f64::from(x).exp()));
    }
    println!("exp: at most {worst:.2} units");
    assert!(worst <= 2.0, "{worst} units");
}

#[test]
fn exp_at_the_borders() {
    assert_eq!(exp(0.0), 1.0, "e^0");
    assert_eq!(exp(-0.0), 1.0, "e^-0");
    assert_eq!(exp(f32::INFINITY), f32::INFINITY, "e^inf");
    assert_eq!(exp(f32::NEG_INFINITY), 0.0, "e^-inf");
    assert!(exp(f32::NAN).is_nan(), "NaN stays");
    assert!(exp(88.72).is_finite(), "e^88.72 is below the greatest f32");
    assert_eq!(exp(88.73), f32::INFINITY, "e^88.73 is above it");
    assert_eq!(exp(-104.0), 0.0, "less than half of the least subnormal");
    assert_eq!(exp(-103.0), 1e-45, "the least subnormal");
    for x in [-88.0, -90.5, -95.25, -100.0] {
        let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
        assert!((found - expected).abs() <= 1.5e-45, "subnormal e^{x}: {found:e}");
    }
}

#[test]
fn sigmoid_and_softplus_follow_their_definitions() {
    let mut rng = Rng::new(2);
    for _ in 0..100_000 {
        let x = rng.float() * 40.0;
        let wide = f64::from(x);
        let sigma = units(sigmoid(x), 1.0 / (1.0 + (-wide).exp()));
        assert!(sigma <= 4.0, "sigmoid({x}): {sigma} units");
        let plus = if x > 20.0 { wide } else { wide.exp().ln_1p() };
        let plus = units(softplus(x), plus);
        assert!(plus <= 4.0, "softplus({x}): {plus} units");
    }
    assert_eq!(sigmoid(0.0), 0.5, "by hand");
    assert_eq!(sigmoid(-200.0), 0.0, "far below");
    assert_eq!(sigmoid(200.0), 1.0, "far above");
    assert!(sigmoid(f32::NAN).is_nan(), "NaN stays");
    assert_eq!(softplus(20.5), 20.5, "above the threshold it is x");
    assert_eq!(softplus(f32::INFINITY), f32::INFINITY, "inf");
    assert_eq!(softplus(f32::NEG_INFINITY), 0.0, "-inf");
    assert!(softplus(f32::NAN).is_nan(), "NaN stays");
}
