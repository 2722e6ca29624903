//! What pairs of keys do: the private key signs a digest, the public one verifies it.
//!
//! | key | curve | digest |
//! |---|---|---|
//! | `EccNistP256` | P-256 | SHA-256 |
//! | `EccNistP384` | P-384 | SHA-384 |
//! | `EccNistP521` | P-521 | SHA-512 |
//! | `EccSecgP256k1` | secp256k1 | SHA-256 |
//!
//! Source: KMS developer guide, "Key spec reference": which algorithm a key of each curve has. A signature is the DER of its two numbers, as
//! RFC 3279 has it; the same digest gets the same one, by RFC 6979, so that signing needs no randomness. AWS's differ each time.
//!
//! **Invariant:** a private key is opened for one use, is wiped behind it, and stands in no error.

use ecdsa::elliptic_curve::generic_array::ArrayLength;
use ecdsa::elliptic_curve::ops::{Invert, Reduce};
use ecdsa::elliptic_curve::pkcs8::{AssociatedOid, EncodePublicKey};
use ecdsa::elliptic_curve::sec1::{FromEncodedPoint, ModulusSize, ToEncodedPoint};
use ecdsa::elliptic_curve::subtle::CtOption;
use ecdsa::elliptic_curve::zeroize::Zeroizing;
use ecdsa::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytes, FieldBytesSize, PrimeCurve, PrimeField,
    ProjectivePoint, Scalar, SecretKey,
};
use ecdsa::hazmat::{SignPrimitive, bits2field, sign_prehashed, verify_prehashed};
use ecdsa::signature::hazmat::PrehashSigner;
use ecdsa::{Signature, SignatureSize, SigningKey};
use k256::Secp256k1;
use outport_keyring::Keyring;
use outport_model::kms::{KmsKey, KmsKeySpec};
use p256::NistP256;
use p384::NistP384;
use p521::NistP521;
use rfc6979::HmacDrbg;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::cipher::{MaterialFault, fault, open};

/// Numbers that are tried as the secret of one signature on P-521; the first does, but for once in 2^260.
const NONCES_MAX: usize = 8;
/// P-521 counts 521 bits in 66 bytes.
const P521_SPARE_BITS: u32 = 7;

/// The digest of a message that a key of this spec signs; `None`: it does not sign.
pub fn signed_digest(spec: KmsKeySpec, message: &[u8]) -> Option<Vec<u8>> {
    match spec {
        KmsKeySpec::EccNistP256 | KmsKeySpec::EccSecgP256k1 => {
            Some(Sha256::digest(message).to_vec())
        }
        KmsKeySpec::EccNistP384 => Some(Sha384::digest(message).to_vec()),
        KmsKeySpec::EccNistP521 => Some(Sha512::digest(message).to_vec()),
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::Hmac224
        | KmsKeySpec::Hmac256
        | KmsKeySpec::Hmac384
        | KmsKeySpec::Hmac512 => None,
    }
}

/// The signature of a digest, which has the length of the spec's digests.
///
/// # Errors
/// [`MaterialFault`].
pub fn sign(keyring: &Keyring, key: &KmsKey, digest: &[u8]) -> Result<Vec<u8>, MaterialFault> {
    let private = private_key(keyring, key)?;
    let signed = match key.spec {
        KmsKeySpec::EccNistP256 => {
            signed::<NistP256>(&private, digest).map(|it| it.to_der().as_bytes().to_vec())
        }
        KmsKeySpec::EccNistP384 => {
            signed::<NistP384>(&private, digest).map(|it| it.to_der().as_bytes().to_vec())
        }
        KmsKeySpec::EccNistP521 => {
            signed_on_p521(&private, digest).map(|it| it.to_der().as_bytes().to_vec())
        }
        KmsKeySpec::EccSecgP256k1 => {
            signed::<Secp256k1>(&private, digest).map(|it| it.to_der().as_bytes().to_vec())
        }
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::Hmac224
        | KmsKeySpec::Hmac256
        | KmsKeySpec::Hmac384
        | KmsKeySpec::Hmac512 => None,
    };
    signed.ok_or_else(|| does_not_sign(key))
}

/// Whether a signature is this key's of a digest. What is no signature at all is none of it.
///
/// # Errors
/// [`MaterialFault`].
pub fn is_signature(
    keyring: &Keyring,
    key: &KmsKey,
    digest: &[u8],
    signature: &[u8],
) -> Result<bool, MaterialFault> {
    let private = private_key(keyring, key)?;
    let verified = match key.spec {
        KmsKeySpec::EccNistP256 => {
            verified::<NistP256>(&private, digest, Signature::from_der(signature))
        }
        KmsKeySpec::EccNistP384 => {
            verified::<NistP384>(&private, digest, Signature::from_der(signature))
        }
        KmsKeySpec::EccNistP521 => {
            verified::<NistP521>(&private, digest, Signature::from_der(signature))
        }
        KmsKeySpec::EccSecgP256k1 => {
            verified::<Secp256k1>(&private, digest, Signature::from_der(signature))
        }
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::Hmac224
        | KmsKeySpec::Hmac256
        | KmsKeySpec::Hmac384
        | KmsKeySpec::Hmac512 => None,
    };
    verified.ok_or_else(|| does_not_sign(key))
}

/// The public key: the DER of a SubjectPublicKeyInfo of RFC 5480, its point uncompressed.
///
/// # Errors
/// [`MaterialFault`].
pub fn public_key(keyring: &Keyring, key: &KmsKey) -> Result<Vec<u8>, MaterialFault> {
    let private = private_key(keyring, key)?;
    public_of(key.spec, &private).ok_or_else(|| does_not_sign(key))
}

fn public_of(spec: KmsKeySpec, private: &[u8]) -> Option<Vec<u8>> {
    match spec {
        KmsKeySpec::EccNistP256 => public::<NistP256>(private),
        KmsKeySpec::EccNistP384 => public::<NistP384>(private),
        KmsKeySpec::EccNistP521 => public::<NistP521>(private),
        KmsKeySpec::EccSecgP256k1 => public::<Secp256k1>(private),
        KmsKeySpec::SymmetricDefault
        | KmsKeySpec::Hmac224
        | KmsKeySpec::Hmac256
        | KmsKeySpec::Hmac384
        | KmsKeySpec::Hmac512 => None,
    }
}

/// Makes a private key of random bytes, as many as the spec's material has. Whether it is one: the number must be above 0 and below the order
/// of the curve.
///
/// Source: FIPS 186-5, A.2.2, "ECDSA Key Pair Generation by Rejection Sampling".
pub(crate) fn become_private_key(spec: KmsKeySpec, random: &mut [u8]) -> bool {
    if spec == KmsKeySpec::EccNistP521
        && let Some(highest) = random.first_mut()
    {
        *highest &= u8::MAX >> P521_SPARE_BITS;
    }
    public_of(spec, random).is_some()
}

fn private_key(keyring: &Keyring, key: &KmsKey) -> Result<Zeroizing<Vec<u8>>, MaterialFault> {
    let material = key.current_material().ok_or_else(|| fault(key, "", "there is none"))?;
    Ok(Zeroizing::new(open(keyring, key, material)?))
}

fn does_not_sign(key: &KmsKey) -> MaterialFault {
    let material = key.current_material().map_or("", |material| &material.id);
    fault(key, material, "it does not sign")
}

fn public<C>(private: &[u8]) -> Option<Vec<u8>>
where
    C: AssociatedOid + CurveArithmetic,
    AffinePoint<C>: FromEncodedPoint<C> + ToEncodedPoint<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let public = SecretKey::<C>::from_slice(private).ok()?.public_key();
    Some(public.to_public_key_der().ok()?.into_vec())
}

fn signed<C>(private: &[u8], digest: &[u8]) -> Option<Signature<C>>
where
    C: PrimeCurve + CurveArithmetic,
    Scalar<C>: Invert<Output = CtOption<Scalar<C>>> + SignPrimitive<C>,
    SignatureSize<C>: ArrayLength<u8>,
    SigningKey<C>: PrehashSigner<Signature<C>>,
{
    SigningKey::<C>::from_slice(private).ok()?.sign_prehash(digest).ok()
}

/// The package of this curve takes the secret number of a signature from a generator; here it comes of key and digest, as on the others.
///
/// Source: RFC 6979, 3.2; the digest, of 512 bits, is below the order of the curve.
fn signed_on_p521(private: &[u8], digest: &[u8]) -> Option<Signature<NistP521>> {
    let private = SecretKey::<NistP521>::from_slice(private).ok()?.to_nonzero_scalar();
    let digest = bits2field::<NistP521>(digest).ok()?;
    let entropy = Zeroizing::new(private.to_repr());
    let reduced = <p521::Scalar as Reduce<p521::U576>>::reduce_bytes(&digest).to_repr();
    let mut nonces = HmacDrbg::<Sha512>::new(&entropy, &reduced, &[]);
    for _ in 0..NONCES_MAX {
        let mut nonce = Zeroizing::new(FieldBytes::<NistP521>::default());
        nonces.fill_bytes(&mut nonce);
        keep_highest_bits(&mut nonce);
        let nonce = Option::<p521::Scalar>::from(p521::Scalar::from_repr(*nonce));
        let signed = nonce.map(|it| sign_prehashed::<NistP521, _>(&private, it, &digest));
        if let Some(Ok((signature, _))) = signed {
            return Some(signature);
        }
    }
    None
}

/// The number of the first 521 bits.
fn keep_highest_bits(bytes: &mut [u8]) {
    let mut carried = 0;
    for byte in bytes {
        let whole = *byte;
        *byte = (whole >> P521_SPARE_BITS) | carried;
        carried = whole << (u8::BITS - P521_SPARE_BITS);
    }
}

/// `None`: there is no such private key. By the equation alone: of the two signatures that differ in the sign of a number both are good, as
/// for other programs.
fn verified<C>(
    private: &[u8],
    digest: &[u8],
    signature: ecdsa::Result<Signature<C>>,
) -> Option<bool>
where
    C: PrimeCurve + CurveArithmetic,
    SignatureSize<C>: ArrayLength<u8>,
{
    let public = SecretKey::<C>::from_slice(private).ok()?.public_key();
    let digest = bits2field::<C>(digest).ok()?;
    let Ok(signature) = signature else { return Some(false) };
    let point = ProjectivePoint::<C>::from(*public.as_affine());
    Some(verify_prehashed::<C>(&point, &digest, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Arn, Region, Scope, Tags};

    use super::*;
    use crate::cipher::{FreshMaterial, MATERIAL_RANDOM_BYTES, place};
    use outport_model::kms::KmsKeyMaterial;

    /// Made by OpenSSL 3.0 (`ecparam -genkey`, `ec -pubout -outform DER`, `dgst -sign` of the text `message`): key, public key, signature.
    const OF_OPENSSL: [(KmsKeySpec, &str, &str, &str); 5] = [
        (
            KmsKeySpec::EccNistP256,
            "7a4c422a30672c687de415f87133df3e460d88b439dd36d6dace275053d8553c",
            "3059301306072a8648ce3d020106082a8648ce3d0301070342000446e69eb6a0a532f474149dcccc6a506e05b783a12d1db3ca3090c922\
             04a6f728a17757c61a01a1f5032ee92182b1964b22694afda4192b7edadccb6478ffda7e",
            "304502201743606f3a36a42f420120e56fc6b62e9382a2d195004eeaa4ee755eec9cfe0a022100dcb40b3f9a83121ce5bd17f675746bdb\
             41c846caa5cfc372c86f30193f9b73d3",
        ),
        (
            KmsKeySpec::EccNistP384,
            "d2d7012ebd7c2559fb8704913376ce56e75520cf1e008f6015f17f44c58ef6784eb6a103349501bfcbe044e7459dead8",
            "3076301006072a8648ce3d020106052b8104002203620004605ee16c469f64060e4acec66a18dac28b38d7c1a14989340ac472f3d2898b\
             eedb3b709a54ef272070ff888becef3a8267c805ba8f6b6126f1ac4c5158a6cc8dc6b5e6e8679ca65a07bd22632d7c40e9882321bf64dd\
             8011f6b3c8a4acdfe439",
            "306502306cfb07d72ac17c0cae864a9eb074ac6b7fdb3d79c8d99a99a5d18d09466de7f22d800c433c7a6e97cd7da99f45189460023100\
             e9b23cfdbd6f2782779613627425f80b4802021f3e841ef7e977b1240b1fa29fbd501464687566a9559c0189292794c2",
        ),
        (
            KmsKeySpec::EccNistP521,
            "00c0560272e4bfe4793a0d8a0c743252495c849002020b863161e40cd98586d00f5a7f92e727b6e1c14448b4d3e541ea143c608dbdd73c\
             19fff2e864a4c29d440fd1",
            "30819b301006072a8648ce3d020106052b8104002303818600040178127867a927b9bcb330fd74c8bbca87a4348722994a9040c40c08b3\
             61ae1dfc4350435f9ebcb90eed0453e5b3eb0a7db7dce2871ecc64149dea3aa0bf70b1a9b100ecc6be8816dea9760f70a07e5db51444c0\
             31c15ce2e0044b3523fb157cf23c77a540f781ee6d12f1c7e037528590ba25a8aa2df4227eecac63df6fa19cbf0d1e70",
            "30818702411ce3d4c2776cba9b496956e2f38e899b277ac802b4c3c5fbb0fa592937f56f6e64a0f2a2214f33d91769a3164c36866895ac\
             a8318ebc76f9dfca45d337939c293e024201e403635cea3485aef915cae9e76d1da5c5cd814bb16b84fcbdbd01f45f7674854ab48522ea\
             8c18ae0f84b0d50a009b7a99ed20e4cd490424cf3ed21c93c4bd66e9",
        ),
        (
            KmsKeySpec::EccSecgP256k1,
            "69224ca91b6ec6603da485290f831e3b21103304a2df7a2fa22c10a970024fc5",
            "3056301006072a8648ce3d020106052b8104000a034200049400599b4a53c6a8a1d8981aa08115cc8d62271bc0688f04578f2c7cc7318e\
             e8c3ae7e88910d03dd90b2038406aa2b71b1ca0537c759ac8d1ab1d72f1fad15de",
            "3045022100bc6c8aa27842d3b2d28042f7dfe4a805f133b3790921f461ee8907066f3859dd022011ec084f07d87c1872be31c2f1b22d0f\
             f65776d8235c1104538d548810dc7754",
        ),
        // With the other sign of its second number.
        (
            KmsKeySpec::EccSecgP256k1,
            "69224ca91b6ec6603da485290f831e3b21103304a2df7a2fa22c10a970024fc5",
            "3056301006072a8648ce3d020106052b8104000a034200049400599b4a53c6a8a1d8981aa08115cc8d62271bc0688f04578f2c7cc7318e\
             e8c3ae7e88910d03dd90b2038406aa2b71b1ca0537c759ac8d1ab1d72f1fad15de",
            "304502202d84ebec17fde5531e5a554a0b015de9a1aee07f8f077917dd3d83223870103f022100f58b6db012f046d8ae8371a188480c0d\
             109cc2b4a55ff355831e6c9251c4f1df",
        ),
    ];
    const SIGNING: [KmsKeySpec; 4] = [
        KmsKeySpec::EccNistP256,
        KmsKeySpec::EccNistP384,
        KmsKeySpec::EccNistP521,
        KmsKeySpec::EccSecgP256k1,
    ];

    fn keyring() -> Keyring {
        Keyring::new(&[1; 32], &[])
    }

    fn key(spec: KmsKeySpec, materials: Vec<KmsKeyMaterial>) -> KmsKey {
        KmsKey {
            scope: scope(),
            id: ID.to_owned(),
            description: String::new(),
            spec,
            managed_for: None,
            is_enabled: true,
            deletion: None,
            policy: String::new(),
            tags: Tags::new(),
            created_at_ms: 0,
            materials,
            rotation: None,
        }
    }

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn scope() -> Scope {
        Scope::new(AccountId::new("000000000012"), Region::new("us-east-1"))
    }

    fn fresh(spec: KmsKeySpec, byte: u8) -> KmsKey {
        let fresh = FreshMaterial::for_spec(spec, &[byte; MATERIAL_RANDOM_BYTES]).unwrap();
        key(spec, vec![fresh.seal(&keyring(), (&scope(), ID), spec, 0, None)])
    }

    fn of_private(spec: KmsKeySpec, private: &str) -> KmsKey {
        let id = "07".repeat(32);
        let place = place(&Arn::kms_key(&scope(), ID), &id);
        let sealed = keyring().seal(&place, &hex::decode(private).unwrap(), [3; 24]);
        key(spec, vec![KmsKeyMaterial { id, sealed, made_at_ms: 0, by: None }])
    }

    fn digest(spec: KmsKeySpec, message: &str) -> Vec<u8> {
        signed_digest(spec, message.as_bytes()).unwrap()
    }

    #[test]
    fn openssl_has_the_same_public_keys_and_its_signatures_are_good() {
        for (spec, private, public, signature) in OF_OPENSSL {
            let key = of_private(spec, private);
            assert_eq!(hex::encode(public_key(&keyring(), &key).unwrap()), public, "{spec:?}");
            let signature = hex::decode(signature).unwrap();
            let is_good = |message| {
                is_signature(&keyring(), &key, &digest(spec, message), &signature).unwrap()
            };
            assert!(is_good("message") && !is_good("massage"), "{spec:?}");
        }
    }

    /// Source of the numbers: RFC 6979, A.2.5 and A.2.7, the text `sample`.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let check = |spec, private: &str, r: &str, s: &str| {
            let signature = sign(&keyring(), &of_private(spec, private), &digest(spec, "sample"));
            let number = |hex: &str| format!("02{:02X}{hex}", hex.len() / 2);
            let numbers = number(r) + &number(s);
            assert!(hex::encode_upper(signature.unwrap()).ends_with(&numbers), "{spec:?}");
        };
        check(
            KmsKeySpec::EccNistP256,
            "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
            "00EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "00F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        );
        check(
            KmsKeySpec::EccNistP521,
            "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08\
             B0E996B83538",
            "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF\
             05EC36E377FA",
            "617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE\
             0E44DA4A67A",
        );
    }

    #[test]
    fn a_signature_is_good_for_its_digest_and_key_only() {
        for spec in SIGNING {
            let (one, other) = (fresh(spec, 7), fresh(spec, 9));
            let signed = digest(spec, "message");
            let signature = sign(&keyring(), &one, &signed).unwrap();
            let is_good = |key: &KmsKey, digest: &[u8], signature: &[u8]| {
                is_signature(&keyring(), key, digest, signature).unwrap()
            };
            assert!(is_good(&one, &signed, &signature), "{spec:?}");
            assert!(!is_good(&other, &signed, &signature), "{spec:?}");
            assert!(!is_good(&one, &digest(spec, "massage"), &signature), "{spec:?}");
            for at in (0..signature.len()).step_by(11) {
                let mut changed = signature.clone();
                changed[at] ^= 1;
                assert!(!is_good(&one, &signed, &changed), "{spec:?}, byte {at}");
                assert!(!is_good(&one, &signed, &signature[..at]), "{spec:?}, {at} bytes");
            }
            assert!(!is_good(&one, &signed, &[signature.as_slice(), &[0]].concat()), "{spec:?}");
        }
    }

    #[test]
    fn a_key_of_another_kind_does_not_sign() {
        for spec in [KmsKeySpec::SymmetricDefault, KmsKeySpec::Hmac256] {
            let key = fresh(spec, 7);
            assert!(sign(&keyring(), &key, &[7; 32]).is_err());
            assert!(is_signature(&keyring(), &key, &[7; 32], &[7; 64]).is_err());
            assert!(public_key(&keyring(), &key).is_err());
            assert_eq!(signed_digest(spec, b"message"), None);
        }
    }

    /// A number from the order of the curve on is no private key, and neither is 0.
    #[test]
    fn random_bytes_that_are_no_private_key_are_refused() {
        let is_one =
            |spec, byte| FreshMaterial::for_spec(spec, &[byte; MATERIAL_RANDOM_BYTES]).is_some();
        for spec in SIGNING {
            assert!(!is_one(spec, 0) && !is_one(spec, u8::MAX), "{spec:?}");
            assert!(is_one(spec, 1), "{spec:?}");
        }
        assert!(is_one(KmsKeySpec::SymmetricDefault, u8::MAX));
        // Of the first byte on P-521 one bit counts.
        let mut random = [1; 66];
        random[0] = 0b1010_1011;
        assert!(become_private_key(KmsKeySpec::EccNistP521, &mut random));
        assert_eq!(random[0], 1);
    }

    #[test]
    fn a_fault_names_no_part_of_the_private_key() {
        let (spec, private, ..) = OF_OPENSSL[0];
        let mut key = of_private(spec, private);
        key.spec = KmsKeySpec::SymmetricDefault;
        let fault = sign(&keyring(), &key, &[7; 32]).unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains(&private[..8]), "{fault}");
    }
}
