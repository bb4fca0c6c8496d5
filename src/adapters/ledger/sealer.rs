//! The key that seals the records of a ledger, in a file beside it that only its owner may read.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use zeroize::Zeroizing;

use crate::ports::keys::{KeyError, Sealer, Signature};

/// Signs with the key in `<ledger>.key`, which is made at the first use.
pub struct FileSealer {
    path: PathBuf,
}

impl FileSealer {
    /// The sealer of this ledger. Touches no file yet.
    pub fn beside(ledger: &Path) -> Self {
        let mut name = ledger.as_os_str().to_owned();
        name.push(".key");
        FileSealer { path: PathBuf::from(name) }
    }

    fn key(&self) -> Result<KeyPair, KeyError> {
        let pem = match fs::read_to_string(&self.path) {
            Ok(pem) => Zeroizing::new(pem),
            Err(error) if error.kind() == ErrorKind::NotFound => self.make()?,
            Err(error) => return Err(self.unusable(&error)),
        };
        // The library's words on a broken key might quote it, so they are left out.
        KeyPair::from_pem_and_sign_algo(&pem, &PKCS_ECDSA_P256_SHA256).map_err(|_| self.unusable(&"it is no P-256 key"))
    }

    /// Makes the key whole or not at all; when another program was quicker, its key is taken.
    fn make(&self) -> Result<Zeroizing<String>, KeyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|error| KeyError::Make { why: error.to_string() })?;
        let pem = Zeroizing::new(key.serialize_pem());
        let draft = self.path.with_extension(format!("key.{}", std::process::id()));
        self.write_private(&draft, pem.as_bytes()).map_err(|error| self.unusable(&error))?;
        let placed = fs::hard_link(&draft, &self.path);
        let removed = fs::remove_file(&draft);
        match placed {
            Ok(()) => removed.map(|()| pem).map_err(|error| self.unusable(&error)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::read_to_string(&self.path).map(Zeroizing::new).map_err(|error| self.unusable(&error))
            }
            Err(error) => Err(self.unusable(&error)),
        }
    }

    fn write_private(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn unusable(&self, why: &dyn std::fmt::Display) -> KeyError {
        KeyError::Keep { path: self.path.display().to_string(), why: why.to_string() }
    }
}

impl Sealer for FileSealer {
    fn seal(&self, bytes: &[u8]) -> Result<Signature, KeyError> {
        let key = self.key()?;
        let signature = key.sign(bytes).map_err(|error| KeyError::Sign { why: error.to_string() })?;
        Ok(Signature {
            algorithm: "ECDSA-P256-SHA256".to_owned(),
            public_key_pem: key.public_key_pem(),
            signature_hex: hex::encode(signature),
        })
    }
}
