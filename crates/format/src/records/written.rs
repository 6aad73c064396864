//! Headers as they stand in files: the JSON of a record file, written and read by one description.

use serde::{Deserialize, Serialize};

use super::fields::hex;
use super::header::{
    CHECKSUM, MATRICES as NAMES, PLANE_ALIGN_BYTES, PREFIX_BYTES, RECORD_ALIGN_BYTES,
    RECORD_PREFIX, RecordHeader, RecordMatrix,
};
use crate::TensorInfo;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderJson {
    pub(super) layer: u64,
    pub(super) module: String,
    pub(super) records: u64,
    pub(super) record_bytes: u64,
    pub(super) stride_bytes: u64,
    pub(super) matrices: Vec<MatrixJson>,
    pub(super) checksum: String,
    pub(super) checksums: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatrixJson {
    pub(super) name: String,
    pub(super) storage: String,
    pub(super) planes: Vec<PlaneJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaneJson {
    pub(super) name: String,
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl RecordHeader {
    /// The header of `records` records whose checksums are not known yet. The planes of
    /// `matrices` (whole names, dtypes, shapes, bytes) get their places in a record.
    pub fn new(
        layer: usize,
        module: String,
        records: usize,
        mut matrices: [RecordMatrix; 3],
    ) -> RecordHeader {
        let mut end = 0_u64;
        for plane in matrices.iter_mut().flat_map(|matrix| &mut matrix.planes) {
            plane.offset = end.next_multiple_of(PLANE_ALIGN_BYTES as u64);
            end = plane.offset + plane.bytes;
        }
        let stride_bytes = end.next_multiple_of(RECORD_ALIGN_BYTES);
        let (record_bytes, checksums) = (end as usize, vec![0; records]);
        let mut header = RecordHeader {
            layer,
            module,
            records,
            record_bytes,
            data_offset: 0,
            stride_bytes,
            matrices,
            checksums,
        };
        let end = PREFIX_BYTES + header.json().len() as u64;
        header.data_offset = end.next_multiple_of(RECORD_ALIGN_BYTES);
        header
    }

    /// The header as a file begins with it: `data_offset` bytes, the JSON filled up with spaces.
    /// Checksums have a fixed width, so that it is as long before they are known.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = self.data_offset - PREFIX_BYTES;
        let mut bytes = RECORD_PREFIX.to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.json().as_bytes());
        bytes.resize(self.data_offset as usize, b' ');
        bytes
    }

    fn json(&self) -> String {
        let said = HeaderJson {
            layer: self.layer as u64,
            module: self.module.clone(),
            records: self.records as u64,
            record_bytes: self.record_bytes as u64,
            stride_bytes: self.stride_bytes,
            matrices: NAMES.into_iter().zip(&self.matrices).map(matrix).collect(),
            checksum: CHECKSUM.to_owned(),
            checksums: self.checksums.iter().map(|sum| hex(&sum.to_be_bytes())).collect(),
        };
        serde_json::to_string(&said).expect("numbers and strings can be written")
    }
}

fn matrix((name, matrix): (&str, &RecordMatrix)) -> MatrixJson {
    let plane = |plane: &TensorInfo| PlaneJson {
        name: plane.name.rsplit_once('.').map_or(&*plane.name, |(_, last)| last).to_owned(),
        dtype: plane.dtype.name().to_owned(),
        shape: plane.shape.iter().map(|&dim| dim as u64).collect(),
        offset: plane.offset,
        bytes: plane.bytes,
    };
    let planes = matrix.planes.iter().map(plane).collect();
    MatrixJson { name: name.to_owned(), storage: matrix.storage.clone(), planes }
}
