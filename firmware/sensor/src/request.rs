//! The certificate signing request (PKCS#10, RFC 2986).

use alloc::{format, string::String, vec};

use coldbench_protocol::{Refusal, Subject};
use p256::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::Signer},
    pkcs8::EncodePublicKey,
};
use x509_cert::{
    attr::AttributeTypeAndValue,
    der::{
        Decode, Encode, EncodePem, Tag,
        asn1::{Any, BitString, ObjectIdentifier, SetOfVec},
        pem::LineEnding,
    },
    name::{Name, RelativeDistinguishedName},
    request::{CertReq, CertReqInfo, Version},
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned},
};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
pub(crate) const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Upper bound of both names in X.520.
const MAX_NAME_CHARS: usize = 64;

/// The subject as X.501 name: CN, then OU.
pub(crate) fn subject_name(subject: &Subject) -> Result<Name, Refusal> {
    let common_name = part(COMMON_NAME, "common name", &subject.common_name)?;
    let organizational_unit = part(ORGANIZATIONAL_UNIT, "organizational unit", &subject.organizational_unit)?;
    Ok(Name::from(vec![common_name, organizational_unit]))
}

/// The request for this name, signed by the key, as PEM.
pub(crate) fn csr_pem(subject: Name, key: &SecretKey) -> Result<String, Refusal> {
    let csr = || {
        let public_key_der = key.public_key().to_public_key_der().ok()?;
        let info = CertReqInfo {
            version: Version::V1,
            subject,
            public_key: SubjectPublicKeyInfoOwned::from_der(public_key_der.as_bytes()).ok()?,
            attributes: SetOfVec::new(),
        };
        let signature = sign(key, &info.to_der().ok()?)?;
        CertReq { info, algorithm: signature_algorithm(), signature }.to_pem(LineEnding::LF).ok()
    };
    csr().ok_or_else(|| Refusal::Unsupported("the certificate signing request cannot be written".into()))
}

/// ECDSA with SHA-256, deterministic (RFC 6979): signing needs no random numbers.
pub(crate) fn sign(key: &SecretKey, bytes: &[u8]) -> Option<BitString> {
    let signature: DerSignature = SigningKey::from(key).try_sign(bytes).ok()?;
    BitString::from_bytes(signature.as_bytes()).ok()
}

pub(crate) fn signature_algorithm() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None }
}

fn part(oid: ObjectIdentifier, what: &str, text: &str) -> Result<RelativeDistinguishedName, Refusal> {
    let chars = text.chars().count();
    let refusal = || Refusal::Invalid(format!("{what}: 1 to {MAX_NAME_CHARS} characters, no control characters"));
    if chars == 0 || chars > MAX_NAME_CHARS || text.chars().any(char::is_control) {
        return Err(refusal());
    }
    let value = Any::new(Tag::Utf8String, text.as_bytes()).map_err(|_| refusal())?;
    RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue { oid, value }]).map_err(|_| refusal())
}
