//! Compression of shared text, once for all connections that have the same past.
//!
//! With context takeover a message may refer to the last 32 KiB of text that were sent before it, which is what makes a
//! large result with a small change nearly free. The usual way keeps a compressor for each connection: a quarter of a
//! megabyte of memory each, and the same work for each of ten thousand clients. But Deflate's references are distances,
//! not contents: the same compressed bytes are right on every connection where the text that they refer to lies equally
//! far back, whatever lies in between. So a new version of a result is compressed with its predecessor as the dictionary,
//! followed by a *hole* as long as what was sent in between, of a byte that JSON text never contains, so that no reference
//! leads there. Connections keep no compressor; they keep in mind which texts they sent, and where.
//!
//! Compressed pieces end on whole bytes (Deflate's empty stored block, as in RFC 7692), so they can be put together with
//! pieces that are stored as they are.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::{Compress, Compression as Level, FlushCompress};

use crate::text::SharedText;

/// Of zlib's levels, where the result stops getting much smaller: measured on lists in which one element changed.
const LEVEL: u32 = 4;
/// What holes are filled with. Control characters are always escaped in JSON.
const HOLE: u8 = 0;
/// Compressed forms that one text keeps. Clients with other pasts are served, too, but each at its own expense.
const ENCODINGS_MAX: usize = 8;

/// What a connection has sent before a text, as far as compression depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    /// Id of the predecessor; zero if there is none within reach.
    pub(crate) previous: u64,
    /// Bytes from the predecessor's end to the text's beginning.
    pub(crate) gap: u32,
    /// Base-2 logarithm of the window in bytes.
    pub(crate) window_bits: u8,
}

/// The compressed forms of one text.
pub(crate) type Encodings = Vec<(Past, Arc<OnceLock<Bytes>>)>;

thread_local! {
    /// One compressor for each size of window, made when first needed; none belongs to a connection.
    static COMPRESSORS: RefCell<[Option<Compress>; 16]> = const { RefCell::new([const { None }; 16]) };
}

impl SharedText {
    /// The text compressed, whole bytes. `previous` is the text that `past` names.
    pub(crate) fn deflated(&self, past: Past, previous: Option<&SharedText>) -> Bytes {
        let encoding = {
            let mut encodings = self.encodings.lock();
            match encodings.iter().find(|(of, _)| *of == past) {
                Some((_, encoding)) => Some(Arc::clone(encoding)),
                None if encodings.len() < ENCODINGS_MAX => {
                    let encoding = Arc::<OnceLock<Bytes>>::default();
                    encodings.push((past, Arc::clone(&encoding)));
                    Some(encoding)
                }
                None => None,
            }
        };
        let compute = || {
            let dictionary = previous.map(|previous| dictionary(previous.bytes(), past));
            deflate(self.bytes(), past.window_bits, dictionary.as_deref().unwrap_or_default())
        };
        match encoding {
            // Whoever comes meanwhile waits for the one result.
            Some(encoding) => encoding.get_or_init(compute).clone(),
            None => compute(),
        }
    }
}

/// The end of the window as the text will find it.
fn dictionary(previous: &[u8], past: Past) -> Vec<u8> {
    let gap = past.gap as usize;
    let reach = (1_usize << past.window_bits).saturating_sub(gap);
    let mut dictionary = previous[previous.len().saturating_sub(reach)..].to_vec();
    dictionary.resize(dictionary.len() + gap, HOLE);
    dictionary
}

/// Whether a text may be compressed with a dictionary that has holes.
pub(crate) fn avoids_holes(text: &[u8]) -> bool {
    !text.contains(&HOLE)
}

/// Compresses, to whole bytes. The dictionary is what the other side has of the past, from its end.
pub(crate) fn deflate(text: &[u8], window_bits: u8, dictionary: &[u8]) -> Bytes {
    COMPRESSORS.with_borrow_mut(|compressors| {
        let compressor = compressors[usize::from(window_bits)]
            .get_or_insert_with(|| Compress::new_with_window_bits(Level::new(LEVEL), false, window_bits));
        compressor.reset();
        if !dictionary.is_empty() {
            compressor.set_dictionary(dictionary).expect("a compressor that was reset takes a dictionary");
        }
        let mut out = Vec::with_capacity(256 + text.len() / 8);
        let mut rest = text;
        loop {
            let before = compressor.total_in();
            compressor
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .expect("compressing into memory cannot fail");
            let taken = usize::try_from(compressor.total_in() - before).expect("no more than there was");
            rest = &rest[taken..];
            if rest.is_empty() && out.len() < out.capacity() {
                return Bytes::from(out);
            }
            out.reserve(out.capacity().max(256));
        }
    })
}
