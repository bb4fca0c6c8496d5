//! The signature of an image's manifest, see `firmware/image-writer/src/bin/sign-image.rs`.
//!
//! A manifest names the digest of every part, so its signature covers the whole image. The tool takes the key it was
//! built with, and the one that the site profile names for an image of the site's own.

use std::{fs, path::Path};

use p256::{
    ecdsa::{Signature, VerifyingKey, signature::Verifier as _},
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _},
};
use sha2::{Digest, Sha256};

use crate::domain::Problem;

const LINE_START: &str = "signature = \"";
/// Name of a key: the first half of the SHA-256 of its DER.
const KEY_ID_LEN: usize = 16;

/// A key that images may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageKey {
    id: String,
    key: VerifyingKey,
}

impl ImageKey {
    /// The key that this program was built with.
    ///
    /// # Errors
    /// None but a program built from damaged assets.
    pub fn shipped() -> Result<Self, Problem> {
        Self::parse(include_str!("../../assets/firmware/signing-key.pub"), "signing-key.pub")
    }

    /// The key in a file, as `firmware/build` puts it beside the image.
    ///
    /// # Errors
    /// `image.key` when there is no file or no P-256 public key in it.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let name = file.display().to_string();
        let pem = fs::read_to_string(file).map_err(|error| unusable(&name, &error.to_string()))?;
        Self::parse(&pem, &name)
    }

    fn parse(pem: &str, name: &str) -> Result<Self, Problem> {
        let key =
            VerifyingKey::from_public_key_pem(pem).map_err(|_| unusable(name, "it is no P-256 public key (PEM)"))?;
        let der = key.to_public_key_der().map_err(|_| unusable(name, "it cannot be written as DER"))?;
        Ok(ImageKey { id: hex::encode(&Sha256::digest(der.as_bytes())[..KEY_ID_LEN]), key })
    }
}

/// The manifest's text without its signature, which one of these keys made.
///
/// # Errors
/// `image.unsigned`, `image.unknown-key`, `image.signature`.
pub fn verified(manifest: &str, keys: &[ImageKey]) -> Result<String, Problem> {
    let (lines, rest): (Vec<&str>, Vec<&str>) =
        manifest.split_inclusive('\n').partition(|line| line.starts_with(LINE_START));
    let signature = match lines.as_slice() {
        [] => return Err(unsigned()),
        [line] => line.trim_end().strip_prefix(LINE_START).and_then(|line| line.strip_suffix('"')),
        _ => None,
    };
    let (key_id, signature) = signature.and_then(|value| value.split_once(':')).ok_or_else(changed)?;
    let key = keys.iter().find(|key| key.id == key_id).ok_or_else(|| unknown_key(key_id))?;
    let bytes = hex::decode(signature).map_err(|_| changed())?;
    let signature = Signature::from_slice(&bytes).map_err(|_| changed())?;
    let signed: String = rest.concat();
    key.key.verify(signed.as_bytes(), &signature).map_err(|_| changed())?;
    Ok(signed)
}

fn unsigned() -> Problem {
    let advice = "Take the firmware that came with the program, or sign this one with firmware/build --sign";
    Problem::new("image.unsigned", "The image's manifest is not signed", advice)
}

fn unknown_key(key_id: &str) -> Problem {
    // The name comes from the file, so only what can be one is shown.
    let id: String = key_id.chars().filter(char::is_ascii_hexdigit).take(2 * KEY_ID_LEN).collect();
    let sentence = format!("The image is signed with a key that this program does not know ({id})");
    let advice =
        "Ask who made the image; if it is your own, name its signing-key.pub as firmware_key in the site profile";
    Problem::new("image.unknown-key", sentence, advice)
}

fn changed() -> Problem {
    let advice = "Do not flash it; fetch the firmware again from where it was made";
    Problem::new("image.signature", "The image's manifest was changed after it was signed", advice)
}

fn unusable(name: &str, why: &str) -> Problem {
    let advice = "Name the signing-key.pub that lies beside the image as firmware_key in the site profile";
    Problem::new("image.key", format!("The key in {name} cannot be used: {why}"), advice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) mod tests {
    use p256::ecdsa::{SigningKey, signature::Signer as _};
    use proptest::prelude::*;

    use super::*;

    const MANIFEST: &str = "version = \"1\"\nchip = \"esp32c3\"\n\n[[parts]]\nfile = \"app.bin\"\n";

    /// A key pair of the tests; the private half is this number.
    pub(in crate::adapters) fn key_pair(number: u8) -> (SigningKey, ImageKey) {
        let secret = SigningKey::from_slice(&[number; 32]).unwrap();
        let pem = secret.verifying_key().to_public_key_pem(Default::default()).unwrap();
        (secret, ImageKey::parse(&pem, "key").unwrap())
    }

    /// The manifest as `sign-image` signs it.
    pub(in crate::adapters) fn signed(manifest: &str, number: u8) -> String {
        let (secret, public) = key_pair(number);
        let signature: Signature = secret.sign(manifest.as_bytes());
        let (values, parts) = manifest.split_once("\n[[").unwrap();
        let line = format!("{LINE_START}{}:{}\"\n", public.id, hex::encode(signature.to_bytes()));
        format!("{values}{line}\n[[{parts}")
    }

    fn code(manifest: &str, keys: &[ImageKey]) -> String {
        verified(manifest, keys).unwrap_err().code.into_owned()
    }

    #[test]
    fn a_signed_manifest_is_what_was_signed() {
        let keys = [key_pair(1).1, key_pair(2).1];
        for number in [1, 2] {
            assert_eq!(verified(&signed(MANIFEST, number), &keys).unwrap(), MANIFEST);
        }
    }

    #[test]
    fn the_shipped_key_made_the_shipped_signature() {
        let manifest = include_str!("../../assets/firmware/manifest.toml");
        assert!(verified(manifest, &[ImageKey::shipped().unwrap()]).is_ok());
        assert_eq!(code(manifest, &[key_pair(1).1]), "image.unknown-key");
    }

    #[test]
    fn each_way_to_be_wrong_has_its_own_code() {
        let (_, key) = key_pair(1);
        let good = signed(MANIFEST, 1);
        let keys = [key];
        assert_eq!(code(MANIFEST, &keys), "image.unsigned");
        assert_eq!(code(&signed(MANIFEST, 2), &keys), "image.unknown-key");
        assert_eq!(code(&good.replace("esp32c3", "esp32s3"), &keys), "image.signature");
        assert_eq!(code(&good.replace("app.bin", "other.bin"), &keys), "image.signature");
        let line = good.lines().find(|line| line.starts_with(LINE_START)).unwrap();
        assert_eq!(code(&good.replace(line, &format!("{line}\n{line}")), &keys), "image.signature");
        assert_eq!(code(&good.replace(line, "signature = \"\""), &keys), "image.signature");
        assert_eq!(code(&good.replace(line, &line[..line.len() - 3]), &keys), "image.signature");
        // The signature of another key under the name of a known one.
        let (_, known) = key_pair(1);
        let (_, other) = key_pair(2);
        assert_eq!(code(&signed(MANIFEST, 2).replace(&other.id, &known.id), &keys), "image.signature");
    }

    #[test]
    fn a_file_without_a_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pub");
        assert_eq!(ImageKey::read(&file).unwrap_err().code, "image.key");
        fs::write(&file, "no key").unwrap();
        let problem = ImageKey::read(&file).unwrap_err();
        assert_eq!(problem.code, "image.key");
        assert!(problem.sentence.contains("key.pub"));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(at in 0..10_000_usize, byte in any::<u8>()) {
            let good = signed(MANIFEST, 1).into_bytes();
            let mut bad = good.clone();
            let at = at % bad.len();
            bad[at] = byte;
            prop_assume!(bad != good);
            if let Ok(bad) = String::from_utf8(bad) {
                // Upper-case hex digits are the same signature.
                let keys = [key_pair(1).1];
                prop_assert!(verified(&bad, &keys).is_err() || bad.eq_ignore_ascii_case(std::str::from_utf8(&good).unwrap()));
            }
        }
    }
}
