//! How byte-level vocabularies write bytes: each byte as a printable character.
//!
//! Source: GPT-2's `bytes_to_unicode`: printable Latin-1 stands for itself, and the other 68 bytes follow from
//! `U+0100` on in their order.

/// First of the characters that stand for unprintable bytes.
const SHIFTED: u32 = 0x100;

/// Whether a byte stands for itself.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The unprintable bytes, in order.
const UNPRINTABLE: [u8; 68] = {
    let mut bytes = [0; 68];
    let (mut byte, mut count) = (0_u16, 0);
    while byte < 256 {
        if !matches!(byte as u8, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
            bytes[count] = byte as u8;
            count += 1;
        }
        byte += 1;
    }
    bytes
};

/// The byte that a character stands for.
pub(super) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => UNPRINTABLE.get((code - SHIFTED) as usize).copied(),
    }
}

/// The bytes that a token stands for: its own UTF-8 where a character of it stands for no byte.
pub(super) fn bytes_of(token: &str) -> Box<[u8]> {
    let bytes: Option<Box<[u8]>> = token.chars().map(byte_of).collect();
    bytes.unwrap_or_else(|| token.as_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn space_and_newline_are_the_letters_that_vocabularies_show() {
        assert_eq!((byte_of('Ġ'), byte_of('Ċ'), byte_of('a')), (Some(b' '), Some(b'\n'), Some(b'a')));
    }

    #[test]
    fn a_token_with_another_character_stands_for_itself() {
        assert_eq!(&*bytes_of("Ġa"), b" a");
        assert_eq!(&*bytes_of("Ġ日"), "Ġ日".as_bytes());
    }
}
