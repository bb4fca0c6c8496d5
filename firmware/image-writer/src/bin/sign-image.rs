//! Signs an image's manifest, and makes the key for it.
//!
//!     sign-image new-key FILE          makes a key pair: FILE, for its owner alone
//!     sign-image sign FOLDER KEY_FILE  signs FOLDER/manifest.toml, puts the public key beside it
//!
//! The manifest names the digest of every part, so its signature covers the whole image. What is signed is the
//! manifest's text without the line of the signature: `signature = "<key>:<signature>"`, where `<key>` is the first
//! half of the SHA-256 of the public key (DER) and `<signature>` is ECDSA with P-256 and SHA-256, both numbers in 64
//! bytes, all in hex digits.

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context, Result, bail, ensure};
use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    elliptic_curve::rand_core::OsRng,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding},
};
use sha2::{Digest as _, Sha256};

const LINE_START: &str = "signature = \"";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["new-key", file] => new_key(Path::new(file)),
        ["sign", folder, key_file] => sign(Path::new(folder), Path::new(key_file)),
        _ => bail!("usage: sign-image new-key FILE | sign FOLDER KEY_FILE"),
    }
}

/// Never over a key that is there: images in the field may depend on it.
fn new_key(file: &Path) -> Result<()> {
    let pem = SecretKey::random(&mut OsRng).to_pkcs8_pem(LineEnding::LF)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file_of_key = options.open(file).with_context(|| format!("making {}", file.display()))?;
    file_of_key.write_all(pem.as_bytes())?;
    println!("made {}; keep it safe and out of the repository", file.display());
    Ok(())
}

fn sign(folder: &Path, key_file: &Path) -> Result<()> {
    let pem = fs::read_to_string(key_file).with_context(|| format!("reading {}", key_file.display()))?;
    // The library's words on a broken key might quote it.
    let Ok(key) = SecretKey::from_pkcs8_pem(&pem) else {
        bail!("{} is no P-256 key in PKCS#8 PEM", key_file.display())
    };
    let public = key.public_key();

    let manifest = folder.join("manifest.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let unsigned: String = text.split_inclusive('\n').filter(|line| !line.starts_with(LINE_START)).collect();
    let (values, parts) = unsigned.split_once("\n[[").context("the manifest has no parts")?;
    ensure!(values.ends_with('\n'), "an empty line is missing before the manifest's first part");

    let signature: Signature = SigningKey::from(&key).sign(unsigned.as_bytes());
    let key_id = hex(&Sha256::digest(public.to_public_key_der()?.as_bytes())[..16]);
    let line = format!("{LINE_START}{key_id}:{}\"\n", hex(&signature.to_bytes()));
    fs::write(&manifest, format!("{values}{line}\n[[{parts}"))?;
    fs::write(folder.join("signing-key.pub"), public.to_public_key_pem(LineEnding::LF)?)?;
    println!("signed with the key {key_id}");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
