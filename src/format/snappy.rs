//! Snappy, with a bound on what it makes of what it is given.

use super::codec::to_u64;
use std::cell::RefCell;
use std::ops::DerefMut;

/// Three bytes of Snappy make at most 64: a block that claims more is damaged.
pub const GROWTH_MAX: u64 = 22;

/// What is tried first of a large value, and of how much of it, in bytes.
const SAMPLE_BYTES: usize = 2 << 10;
const SAMPLED_FROM_BYTES: usize = 8 << 10;

/// What `compressed` holds, of at most `limit` bytes.
///
/// # Errors
/// What is wrong with it.
pub fn decompress(compressed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    decompress_into(compressed, limit, |size| vec![0; size])
}

/// The same, in what `make` makes for so many bytes.
///
/// # Errors
/// As those of [`decompress`].
pub fn decompress_into<B: DerefMut<Target = [u8]>>(
    compressed: &[u8],
    limit: u64,
    make: impl FnOnce(usize) -> B,
) -> Result<B, String> {
    let mut out = make(stated_size(compressed, limit)?);
    let written =
        snap::raw::Decoder::new().decompress(compressed, &mut out).map_err(|e| e.to_string())?;
    if written != out.len() {
        return Err(format!("uncompressed size: expected {}, found {written}", out.len()));
    }
    Ok(out)
}

/// How many bytes `compressed` says to hold, at most `limit` and at most what can be.
///
/// # Errors
/// What is wrong with it.
pub fn stated_size(compressed: &[u8], limit: u64) -> Result<usize, String> {
    let claimed = snap::raw::decompress_len(compressed).map_err(|e| e.to_string())?;
    let limit = limit.min(to_u64(compressed.len()).saturating_mul(GROWTH_MAX));
    if to_u64(claimed) > limit {
        return Err(format!("uncompressed size: at most {limit} expected, found {claimed}"));
    }
    Ok(claimed)
}

/// Whether storing `compressed` in place of so many bytes is worth it.
fn pays(compressed: usize, bytes: usize) -> bool {
    compressed < bytes && compressed <= bytes - bytes / 8
}

thread_local! {
    /// Its table is of 32 KiB, which to make and to clear anew was a fifth of what a large set takes.
    static ENCODER: RefCell<snap::raw::Encoder> = RefCell::new(snap::raw::Encoder::new());
}

/// `value` compressed; `None` where that saves less than an eighth. Of a large one two parts are tried
/// first: most large values that do not get smaller were compressed by whoever made them.
#[must_use]
pub fn compress(value: &[u8]) -> Option<Vec<u8>> {
    ENCODER.with_borrow_mut(|encoder| compress_with(encoder, value))
}

fn compress_with(encoder: &mut snap::raw::Encoder, value: &[u8]) -> Option<Vec<u8>> {
    if value.len() >= SAMPLED_FROM_BYTES {
        let middle = value.len() / 2;
        let samples = [0..SAMPLE_BYTES, middle..middle + SAMPLE_BYTES];
        let mut out = [0; SAMPLE_BYTES + SAMPLE_BYTES / 4];
        let promises = samples.into_iter().filter_map(|range| value.get(range)).any(|sample| {
            encoder.compress(sample, &mut out).is_ok_and(|size| pays(size, sample.len()))
        });
        if !promises {
            return None;
        }
    }
    let mut out = vec![0; snap::raw::max_compress_len(value.len())];
    let size = encoder.compress(value, &mut out).ok().filter(|&size| pays(size, value.len()))?;
    out.truncate(size);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(size: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()[7]
        };
        std::iter::repeat_with(next).take(size).collect()
    }

    #[test]
    fn what_gets_smaller_is_compressed_and_noise_is_not() {
        for size in [1000, SAMPLED_FROM_BYTES, 100_000] {
            let value = vec![7; size];
            let compressed = compress(&value).expect("it pays");
            assert!(compressed.len() < size / 4);
            assert_eq!(decompress(&compressed, to_u64(size)), Ok(value));
            assert_eq!(compress(&noise(size)), None);
        }
        assert_eq!(compress(&[]), None);
        // One half of it is enough.
        let half = [noise(50_000), vec![7; 50_000]].concat();
        assert!(compress(&half).is_some_and(|out| out.len() < 60_000));
    }

    #[test]
    fn a_claim_beyond_the_limit_is_refused() {
        let compressed = compress(&[7; 1000]).expect("it pays");
        assert!(decompress(&compressed, 999).is_err_and(|e| e.contains("999")));
        assert!(decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], u64::MAX).is_err());
    }
}
