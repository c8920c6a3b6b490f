//! Keys of every kind that a certificate may contain, including weak and unsupported ones.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use num_bigint_dig::RandPrime as _;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::rand_core::OsRng;
use rsa::sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPrivateKey};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs as provider;
use rustls::sign::{Signer, SigningKey};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, alg_id};

use super::super::Identity;

/// A private key. Cheap to clone.
#[derive(Clone)]
pub struct Key(Arc<Inner>);

/// The algorithm and size of a key. RSA keys are products of many small primes: fast to generate, and insecure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA with 1,024 bits.
    Rsa1024,
    /// RSA with 2,048 bits.
    Rsa2048,
    /// RSA with 4,096 bits.
    Rsa4096,
    /// RSA with 8,448 bits, more than most libraries accept.
    Rsa8448,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// The curve of RFC 8812 §3.1, which TLS does not use.
    Secp256k1,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

impl Key {
    /// Generates a key.
    ///
    /// # Panics
    /// If the system provides no randomness.
    pub fn generate(kind: KeyAlgorithm) -> Self {
        match kind {
            KeyAlgorithm::Rsa1024 => Self::rsa(1024),
            KeyAlgorithm::Rsa2048 => Self::rsa(2048),
            KeyAlgorithm::Rsa4096 => Self::rsa(4096),
            KeyAlgorithm::Rsa8448 => Self::rsa(8448),
            KeyAlgorithm::P256 => Self::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, SignatureAlgorithm::EcdsaSha256),
            KeyAlgorithm::P384 => Self::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, SignatureAlgorithm::EcdsaSha384),
            KeyAlgorithm::P521 => Self::ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING, SignatureAlgorithm::EcdsaSha512),
            KeyAlgorithm::Secp256k1 => Self::ecdsa(&ECDSA_P256K1_SHA256_ASN1_SIGNING, SignatureAlgorithm::EcdsaSha256),
            KeyAlgorithm::Ed25519 => {
                let pair = Ed25519KeyPair::generate().expect("a key is generated");
                let pkcs8 = pair.to_pkcs8v1().expect("a generated key encodes").as_ref().to_vec();
                let spki = x509(pair.public_key());
                Self::new(spki, Private::Ed25519(pair), Some(pkcs8))
            }
        }
    }

    /// The DER-encoded SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// The default algorithm for signing certificates.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        match &self.0.private {
            Private::Rsa(_) => SignatureAlgorithm::RsaSha256,
            Private::Ecdsa(_, algorithm) => *algorithm,
            Private::Ed25519(_) => SignatureAlgorithm::Ed25519,
        }
    }

    /// Signs `message`. Elliptic curve keys have only one algorithm and ignore `algorithm`.
    ///
    /// # Panics
    /// If the key is an RSA key and `algorithm` is not an RSA algorithm.
    pub fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
        match &self.0.private {
            Private::Rsa(key) => sign_rsa(key, algorithm, message),
            Private::Ecdsa(pair, _) => {
                pair.sign(&SystemRandom::new(), message).expect("a generated key signs").as_ref().to_vec()
            }
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// An identity with this key and the given chain.
    ///
    /// # Panics
    /// If TLS has no signature scheme for the key.
    pub fn identity(&self, chain: Vec<CertificateDer<'static>>) -> Identity {
        match (&self.0.pkcs8, &self.0.private) {
            (Some(pkcs8), _) => Identity::new(chain, PrivatePkcs8KeyDer::from(pkcs8.clone()).into()),
            (None, Private::Rsa(_)) => Identity::with_signer(chain, Arc::new(RsaSigner(self.clone()))),
            (None, _) => panic!("TLS has no signature scheme for this key"),
        }
    }

    fn rsa(bits: usize) -> Self {
        let key = rsa_from_small_primes(bits);
        let spki = key.to_public_key().to_public_key_der().expect("a generated key encodes").into_vec();
        Self::new(spki, Private::Rsa(Box::new(key)), None)
    }

    fn ecdsa(curve: &'static EcdsaSigningAlgorithm, algorithm: SignatureAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(curve).expect("a key is generated");
        let pkcs8 = pair.to_pkcs8v1().expect("a generated key encodes").as_ref().to_vec();
        let served = provider::sign::any_supported_type(&PrivatePkcs8KeyDer::from(pkcs8.clone()).into()).is_ok();
        Self::new(x509(pair.public_key()), Private::Ecdsa(Box::new(pair), algorithm), served.then_some(pkcs8))
    }

    fn new(spki: Vec<u8>, private: Private, pkcs8: Option<Vec<u8>>) -> Self {
        Self(Arc::new(Inner { spki, private, pkcs8 }))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

struct Inner {
    spki: Vec<u8>,
    private: Private,
    /// The form that rustls loads; `None` if it rejects the key. RSA keys use [`RsaSigner`] instead.
    pkcs8: Option<Vec<u8>>,
}

enum Private {
    Rsa(Box<RsaPrivateKey>),
    Ecdsa(Box<EcdsaKeyPair>, SignatureAlgorithm),
    Ed25519(Ed25519KeyPair),
}

/// A signature algorithm of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// md5WithRSAEncryption (RFC 3279 §2.2.1).
    RsaMd5,
    /// sha1WithRSAEncryption (RFC 3279 §2.2.1).
    RsaSha1,
    /// sha224WithRSAEncryption (RFC 4055 §5).
    RsaSha224,
    /// sha256WithRSAEncryption (RFC 4055 §5).
    RsaSha256,
    /// sha384WithRSAEncryption (RFC 4055 §5).
    RsaSha384,
    /// sha512WithRSAEncryption (RFC 4055 §5).
    RsaSha512,
    /// RSASSA-PSS with SHA-256 and 32 octets of salt (RFC 4055 §3).
    RsaPssSha256,
    /// ecdsa-with-SHA256 (RFC 5758 §3.2).
    EcdsaSha256,
    /// ecdsa-with-SHA384 (RFC 5758 §3.2).
    EcdsaSha384,
    /// ecdsa-with-SHA512 (RFC 5758 §3.2).
    EcdsaSha512,
    /// Ed25519 (RFC 8410 §3).
    Ed25519,
}

impl SignatureAlgorithm {
    /// The AlgorithmIdentifier without its outermost tag and length.
    pub(super) fn identifier(self) -> Vec<u8> {
        match self {
            Self::RsaMd5 => pkcs1(4),
            Self::RsaSha1 => pkcs1(5),
            Self::RsaSha224 => pkcs1(14),
            Self::RsaSha256 => alg_id::RSA_PKCS1_SHA256.to_vec(),
            Self::RsaSha384 => alg_id::RSA_PKCS1_SHA384.to_vec(),
            Self::RsaSha512 => alg_id::RSA_PKCS1_SHA512.to_vec(),
            Self::RsaPssSha256 => alg_id::RSA_PSS_SHA256.to_vec(),
            Self::EcdsaSha256 => alg_id::ECDSA_SHA256.to_vec(),
            Self::EcdsaSha384 => alg_id::ECDSA_SHA384.to_vec(),
            Self::EcdsaSha512 => alg_id::ECDSA_SHA512.to_vec(),
            Self::Ed25519 => alg_id::ED25519.to_vec(),
        }
    }
}

/// An algorithm under the pkcs-1 arc (RFC 8017 appendix C), with NULL parameters.
fn pkcs1(last: u64) -> Vec<u8> {
    yasna::construct_der_seq(|writer| {
        writer.next().write_oid(&yasna::models::ObjectIdentifier::from_slice(&[1, 2, 840, 113549, 1, 1, last]));
        writer.next().write_null();
    })
}

fn sign_rsa(key: &RsaPrivateKey, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    let signature = match algorithm {
        SignatureAlgorithm::RsaMd5 => key.sign(Pkcs1v15Sign::new::<md5::Md5>(), &md5::Md5::digest(message)),
        SignatureAlgorithm::RsaSha1 => key.sign(Pkcs1v15Sign::new::<sha1::Sha1>(), &sha1::Sha1::digest(message)),
        SignatureAlgorithm::RsaSha224 => key.sign(Pkcs1v15Sign::new::<Sha224>(), &Sha224::digest(message)),
        SignatureAlgorithm::RsaSha256 => key.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message)),
        SignatureAlgorithm::RsaSha384 => key.sign(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message)),
        SignatureAlgorithm::RsaSha512 => key.sign(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message)),
        SignatureAlgorithm::RsaPssSha256 => {
            key.sign_with_rng(&mut OsRng, Pss::new::<Sha256>(), &Sha256::digest(message))
        }
        _ => panic!("an RSA key cannot sign with {algorithm:?}"),
    };
    signature.expect("the key is large enough for its algorithm")
}

/// An RSA key of exactly `bits` bits (RFC 8017 §3.1 allows more than two primes).
fn rsa_from_small_primes(bits: usize) -> RsaPrivateKey {
    let mut primes: Vec<BigUint> = (1..bits / PRIME_BITS).map(|_| OsRng.gen_prime(PRIME_BITS)).collect();
    let product = primes.iter().fold(BigUint::from(1_u32), |product, prime| product * prime);
    // The product of two numbers has as many bits as both together, or one bit less.
    let missing = bits - product.bits();
    for size in [missing, missing + 1].into_iter().cycle() {
        let last = OsRng.gen_prime(size);
        if (&product * &last).bits() != bits {
            continue;
        }
        primes.push(last);
        if let Ok(key) = RsaPrivateKey::from_primes(primes.clone(), BigUint::from(65_537_u32)) {
            return key;
        }
        // One of the primes minus one is a multiple of the exponent: start over.
        return rsa_from_small_primes(bits);
    }
    unreachable!("a cycle has no end")
}

const PRIME_BITS: usize = 128;

fn x509<K: AsDer<PublicKeyX509Der<'static>>>(key: &K) -> Vec<u8> {
    key.as_der().expect("a generated key encodes").as_ref().to_vec()
}

/// Signs handshakes with RSA keys: rustls's provider loads only keys of at least 2,048 bits with two primes.
#[derive(Clone, Debug)]
struct RsaSigner(Key);

impl SigningKey for RsaSigner {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let known = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let scheme = known.into_iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RsaHandshake { key: self.0.clone(), scheme }))
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        rustls::SignatureAlgorithm::RSA
    }
}

#[derive(Debug)]
struct RsaHandshake {
    key: Key,
    scheme: SignatureScheme,
}

impl Signer for RsaHandshake {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.key.sign(
            match self.scheme {
                SignatureScheme::RSA_PSS_SHA256 => SignatureAlgorithm::RsaPssSha256,
                _ => SignatureAlgorithm::RsaSha256,
            },
            message,
        ))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
