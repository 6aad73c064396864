//! What the process takes beside the model, in bytes: code, tokenizer, rows of logits.

/// Code and libraries as far as they are touched, and what the allocator keeps: 9 to 10 MiB were
/// measured, and 13 since terminals and servers of tools are in the binary.
const CODE_BYTES: u64 = 16 << 20;

/// The stack of a thread that calculates, and what the allocator holds for it.
const THREAD_BYTES: u64 = 64 << 10;

/// A tokenizer in memory, for each byte of its file: less than 10 were measured for 248,000 ids.
const TOKENIZER_KEPT: u64 = 11;
/// The same while it is read: less than 12 were measured.
const TOKENIZER_PEAK: u64 = 13;

/// For each id of the vocabulary: the newest row, the one that a pass gave, the one that a sampler
/// changes (4 bytes each), its candidates (16), and whether an id was seen.
const ROWS_BYTES: u64 = 3 * 4 + 16 + 1;

/// What a conversation on the screen takes: grammars of code (seven took 54 MiB, eight are the most),
/// what was said, lines of it, cells of two screens.
pub(super) const SCREEN_BYTES: u64 = 88 << 20;

/// Grammars of five tools took 21 MiB, and the states of one call may take 32 more.
const CALLS_BYTES: u64 = 64 << 20;
/// For each id of the vocabulary: its text twice, once in a tree.
const CALLS_BYTES_PER_ID: u64 = 256;

/// What holds calls to their declarations.
pub(super) fn calls(vocabulary: u64) -> u64 {
    CALLS_BYTES + CALLS_BYTES_PER_ID * vocabulary
}

/// The bytes to plan for. The tokenizer is read before the trunk, so that the trunk's room is where
/// the reading of it happens; only what does not fit there counts.
pub(super) fn bytes(
    tokenizer_file_bytes: u64,
    vocabulary: u64,
    threads: u64,
    trunk_bytes: u64,
) -> u64 {
    let kept = TOKENIZER_KEPT * tokenizer_file_bytes;
    let peak = TOKENIZER_PEAK * tokenizer_file_bytes;
    let above_trunk = (peak - kept).saturating_sub(trunk_bytes);
    CODE_BYTES + THREAD_BYTES * threads + kept + above_trunk + ROWS_BYTES * vocabulary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_a_tokenizer_happens_in_the_room_of_the_trunk() {
        let (file, vocabulary) = (11_000_000, 250_000);
        let large = bytes(file, vocabulary, 2, 1 << 30);
        assert_eq!(bytes(file, vocabulary, 2, 2 << 30), large, "no more than what stays");
        let small = bytes(file, vocabulary, 2, 4_000_000);
        let above = (TOKENIZER_PEAK - TOKENIZER_KEPT) * file - 4_000_000;
        assert_eq!(small - large, above, "what the trunk has no room for");
        assert_eq!(bytes(0, 0, 0, 0), CODE_BYTES, "the program alone");
        assert_eq!(bytes(0, 0, 3, 0) - CODE_BYTES, 3 * THREAD_BYTES, "its threads");
    }
}
