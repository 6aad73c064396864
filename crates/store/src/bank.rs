//! Banks: the records that belong together, each a short list of extents of the same lengths.

use crate::StoreError;

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The file's number in its [`Disk`](crate::Disk).
    pub file: usize,
    /// From the start of the file.
    pub offset: u64,
    pub bytes: usize,
}

/// Records that belong together. Every record has the same extents, lying elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    /// records x extents_per_record
    extents: Vec<Extent>,
    extents_per_record: usize,
}

impl Bank {
    /// A bank of `extents.len() / extents_per_record` records, record after record.
    ///
    /// # Errors
    /// [`StoreError::BankShape`] when that is no whole number above 0 or an extent is empty,
    /// [`StoreError::UnequalRecords`] when the same extent differs in length between records.
    pub fn new(extents_per_record: usize, extents: Vec<Extent>) -> Result<Bank, StoreError> {
        let shape = |expected| {
            let (extents, per_record) = (extents.len(), extents_per_record);
            Err(StoreError::BankShape { extents, per_record, expected })
        };
        if extents_per_record == 0 || extents.is_empty() {
            return shape("accepted is at least one record of one extent");
        }
        if !extents.len().is_multiple_of(extents_per_record) {
            return shape("accepted are whole records");
        }
        if extents.iter().any(|extent| extent.bytes == 0) {
            return shape("an extent of 0 bytes, accepted are 1 or more");
        }
        let (first, _) = extents.split_at(extents_per_record);
        for (record, others) in extents.chunks(extents_per_record).enumerate() {
            for (extent, (other, of_first)) in others.iter().zip(first).enumerate() {
                let (found, expected) = (other.bytes, of_first.bytes);
                if found != expected {
                    return Err(StoreError::UnequalRecords { record, extent, found, expected });
                }
            }
        }
        Ok(Bank { extents, extents_per_record })
    }

    pub fn records(&self) -> usize {
        self.extents.len() / self.extents_per_record
    }

    pub fn extents_per_record(&self) -> usize {
        self.extents_per_record
    }

    /// The extents of one record; empty if there is no such record.
    pub fn record(&self, record: usize) -> &[Extent] {
        let per = self.extents_per_record;
        if record < self.records() { &self.extents[record * per..(record + 1) * per] } else { &[] }
    }

    /// Bytes of one record, without what reads are rounded by.
    pub fn record_bytes(&self) -> u64 {
        self.record(0).iter().map(|extent| extent.bytes as u64).sum()
    }

    pub(crate) fn all(&self) -> &[Extent] {
        &self.extents
    }
}
