//! Banks take whole records of equal extents and name what is not so.

use store::{Bank, Extent};

fn extents(lengths: &[usize]) -> Vec<Extent> {
    lengths.iter().map(|&bytes| Extent { file: 0, offset: 5, bytes }).collect()
}

#[test]
fn a_bank_gives_back_its_records() {
    let list: Vec<Extent> =
        (0..6).map(|n| Extent { file: n, offset: n as u64, bytes: 1 + n % 2 }).collect();
    let bank = Bank::new(2, list.clone()).unwrap();
    assert_eq!((bank.records(), bank.extents_per_record(), bank.record_bytes()), (3, 2, 3));
    assert_eq!(bank.record(1), &list[2..4], "the record in the middle");
    assert_eq!(bank.record(3), &[], "no such record");
}

#[test]
fn what_is_no_bank_is_refused() {
    #[rustfmt::skip]
    let cases: &[(usize, &[usize], &str)] = &[
        (0, &[1], "a bank of 1 extents with 0 a record: accepted is at least one record of one extent"),
        (1, &[], "a bank of 0 extents with 1 a record: accepted is at least one record of one extent"),
        (2, &[1, 2, 1], "a bank of 3 extents with 2 a record: accepted are whole records"),
        (2, &[4, 0], "a bank of 2 extents with 2 a record: an extent of 0 bytes, accepted are 1 or more"),
        (2, &[4, 5, 4, 6], "record 1, extent 1 has 6 bytes, in record 0 it has 5"),
    ];
    for (per_record, lengths, message) in cases {
        let error = Bank::new(*per_record, extents(lengths)).unwrap_err();
        assert_eq!(error.to_string(), *message);
    }
}
