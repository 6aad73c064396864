//! The checksum that goes with every record of a repacked checkpoint.

use twox_hash::XxHash3_64;

/// XXH3-64 of the bytes, without seed: it finds damage, and is no defence against malice.
pub fn checksum(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

#[cfg(test)]
mod tests {
    use super::checksum;

    /// Of the reference implementation: lengths on either side of each of its cases.
    #[test]
    fn it_is_the_published_one() {
        let bytes: Vec<u8> =
            (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (length, sum) in [
            (0, 0x2d06_8005_38d3_94c2),
            (1, 0xc44b_dff4_074e_ecdb),
            (3, 0xe140_90f5_54a5_ea90),
            (4, 0x2e8d_078a_566e_9749),
            (8, 0xcd1c_7f88_482f_caef),
            (9, 0xbfe4_3def_699f_a9e3),
            (16, 0x81e9_eb86_3446_0bb9),
            (17, 0x9998_430f_d0a6_55be),
            (128, 0x75ec_a5c5_d559_4884),
            (129, 0xa05d_a42e_7a4e_4667),
            (240, 0x5eb2_467c_8c9e_3969),
            (241, 0x2d43_1e98_4c44_1f15),
            (1024, 0xe99d_ef11_45f1_2936),
            (1025, 0x83cb_a9b3_71e4_e7f4),
            (4096, 0x9bf6_7f8d_eff8_76ae),
        ] {
            assert_eq!(checksum(&bytes[..length]), sum, "{length} bytes");
        }
    }
}
