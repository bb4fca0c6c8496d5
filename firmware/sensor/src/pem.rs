//! Certificates in PEM text.

use alloc::vec::Vec;

use x509_cert::der::pem;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Most certificates of one text.
const MAX_CERTIFICATES: usize = 8;

/// Every certificate of a text, as DER; text between them is passed over. `None` when there is none, one of them is
/// damaged, or there are more than eight.
pub(crate) fn certificates_der(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let from_begin = rest.get(begin..)?;
        let end = from_begin.find(END)?.checked_add(END.len())?;
        let (block, after) = from_begin.split_at_checked(end)?;
        if found.len() == MAX_CERTIFICATES {
            return None;
        }
        let (_, der) = pem::decode_vec(block.as_bytes()).ok()?;
        found.push(der);
        rest = after;
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use proptest::prelude::*;

    use super::*;

    fn block(base64: &str) -> String {
        format!("{BEGIN}\n{base64}\n{END}\n")
    }

    #[test]
    fn several_with_text_between() {
        let text = format!("# Root CA 1\r\n{}\n# Root CA 2\n{}", block("MAA="), block("MAEA"));
        assert_eq!(certificates_der(&text), Some(vec![vec![0x30, 0], vec![0x30, 1, 0]]));
    }

    #[test]
    fn what_is_none() {
        assert_eq!(certificates_der(""), None);
        assert_eq!(certificates_der("MAA="), None);
        assert_eq!(certificates_der(BEGIN), None);
        assert_eq!(certificates_der(&block("not base64!")), None);
        assert_eq!(certificates_der(&block("MAA=").repeat(9)), None);
        assert_eq!(certificates_der(&block("MAA=").repeat(8)).map(|found| found.len()), Some(8));
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in ".{0,200}", cut in any::<prop::sample::Index>()) {
            let mut whole = text.clone() + &block("MAA=") + &text;
            let _ = certificates_der(&whole);
            let at = cut.index(whole.len());
            if whole.is_char_boundary(at) {
                whole.truncate(at);
                let _ = certificates_der(&whole);
            }
        }
    }
}
