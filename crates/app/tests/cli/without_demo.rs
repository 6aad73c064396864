//! A binary without the built-in model asks for one.

use crate::program::flash_moe;

#[test]
fn a_model_has_to_be_named() {
    for arguments in [&["run", "x"][..], &["plan"], &["inspect"]] {
        let done = flash_moe(arguments);
        assert_eq!(done.code, 2, "{done:?}");
        assert!(done.error().contains("-m DIR is needed"), "{done:?}");
    }
}
