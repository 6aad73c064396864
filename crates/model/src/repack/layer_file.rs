//! Writes a record file: the records first, with their checksums in mind, then the header before them.

use std::io::{Seek, SeekFrom, Write};

use format::{RecordHeader, WrittenFile};
use sha2::{Digest, Sha256};

use super::RepackError;
use super::assemble::Assembler;
use super::output::Output;
use super::source::{Layer, Source};
use super::work::Work;
use crate::checksum::checksum;

/// Writes the record file of a layer, unless it is there.
pub(super) fn write(
    source: &Source,
    layer: &Layer,
    output: &Output,
    work: &Work<'_>,
) -> Result<WrittenFile, RepackError> {
    let name = layer.file_name();
    let header = match output.kept_header(layer) {
        Some(header) => header,
        None => write_records(source, layer, output, &name, work)?,
    };
    let sha256 = Sha256::digest(header.to_bytes()).into();
    Ok(WrittenFile { name, bytes: header.file_bytes(), sha256 })
}

fn write_records(
    source: &Source,
    layer: &Layer,
    output: &Output,
    name: &str,
    work: &Work<'_>,
) -> Result<RecordHeader, RepackError> {
    let mut header = layer.header.clone();
    let (mut part, path) = output.begin_file(name)?;
    let io = |action| RepackError::io(&path, action);
    part.seek(SeekFrom::Start(header.data_offset)).map_err(io("write"))?;
    let mut assembler = Assembler::new(source, layer);
    let stride = header.stride_bytes as usize;
    let mut batch = vec![0; assembler.batch() * stride];
    let mut first = 0;
    while first < header.records {
        let count = assembler.batch().min(header.records - first);
        let batch = &mut batch[..count * stride];
        assembler.fill(first, batch)?;
        for (n, record) in batch.chunks_exact(stride).enumerate() {
            header.checksums[first + n] = checksum(&record[..header.record_bytes]);
        }
        part.write_all(batch).map_err(io("write"))?;
        work.advance(batch.len() as u64)?;
        first += count;
    }
    part.seek(SeekFrom::Start(0)).map_err(io("write"))?;
    part.write_all(&header.to_bytes()).map_err(io("write"))?;
    work.advance(header.data_offset)?;
    output.end_file(&part, name)?;
    Ok(header)
}
