//! Damages frames, and makes frames that claim more than they have.

use crate::random::Random;
use crate::support::enclosed_call;
use mikobase::json;

/// First bytes of MessagePack values, of every kind.
const MARKERS: [u8; 24] = [
    0x00, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4, 0xc6, 0xc7, 0xca, 0xcb, 0xcf, 0xd3,
    0xd4, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf,
];

/// Content as one frame.
pub fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_be_bytes(), content].concat()
}

/// Changes some bits anywhere.
pub fn flip_bytes(random: &mut Random, content: &mut [u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(content.len());
        content[at] ^= 1 << random.below(8);
    }
}

/// Changes the types of the first arguments.
pub fn change_types(random: &mut Random, content: &mut [u8]) {
    for _ in 0..=random.below(3) {
        // The envelope before a call has a fixed size.
        let from = content.len().min(120);
        let at = from + random.below((content.len() - from).clamp(1, 60));
        if let Some(byte) = content.get_mut(at) {
            *byte = *random.pick(&MARKERS);
        }
    }
}

/// Makes a frame claim another length than it has.
pub fn change_length(random: &mut Random, frame: &mut [u8]) {
    let length = (frame.len() - 4) as u32;
    let options = [length + 1, length - 1, length / 2, length * 2, 0, 1, u32::MAX, i32::MAX as u32, 64 << 20];
    frame[..4].copy_from_slice(&random.pick(&options).to_be_bytes());
}

/// Cuts a frame off.
pub fn truncate(random: &mut Random, frame: &mut Vec<u8>) {
    frame.truncate(random.below(frame.len()));
}

/// A frame whose values take, or claim to take, much more memory than its bytes; at most about `largest`
/// bytes.
pub fn bomb(random: &mut Random, largest: usize) -> Vec<u8> {
    let count = largest / 2 + random.below(largest / 2);
    let element = *random.pick::<&[u8]>(&[
        b"\xc0",
        b"\x00",
        b"\xa0",
        b"\xa1x",
        b"\x90",
        b"\x80",
        b"\x81\xa0\x80",
        b"\x91\x91\x91\xc0",
        b"\xcb\0\0\0\0\0\0\0\0",
    ]);
    let nested = *random.pick::<&[u8]>(&[b"\x91", b"\x81\xa1a", b"\x81\xa3all\x91", b"\x92\xc0"]);
    let claimed = [&[*random.pick(&[0xdd, 0xdf, 0xdb, 0xc6, 0xc9])][..], &[0xff; 4]].concat();
    let array = |count: usize| [&[0xdd][..], &(count as u32).to_be_bytes()].concat();
    let bytes = match random.below(5) {
        0 => claimed,
        // Nested containers, each of which claims a large size.
        1 => claimed.repeat(random.size(10_000)),
        2 => nested.repeat(random.size(largest / nested.len())),
        3 => map(count / 8),
        _ => [array(count / element.len()), element.repeat(count / element.len())].concat(),
    };
    let method =
        *random.pick(&["q0", "validate", "batch", "merge", "import_schema", "select_stream", "engage"]);
    let param = match method {
        "q0" | "validate" | "select_stream" => "query",
        "batch" => "queries",
        "merge" => "worldlet",
        "import_schema" => "schema",
        _ => "order",
    };
    let mut content = enclosed_call(method, &json!({ param: 0 })).split_off(4);
    // The argument was the last byte.
    content.pop();
    content.extend(bytes);
    if method == "batch" && random.one_in(2) {
        content.extend(b"\xa6atomic\xc2");
    }
    framed(&content)
}

/// A map of `count` members with short keys.
fn map(count: usize) -> Vec<u8> {
    let mut bytes = [&[0xdf][..], &(count as u32).to_be_bytes()].concat();
    for n in 0..count as u32 {
        bytes.push(0xa4);
        bytes.extend(format!("{:04x}", n & 0xffff).as_bytes());
        bytes.push(0xc0);
    }
    bytes
}
