//! The three operations that the runtime does: sealing, opening, and signing with an RSA key.
//!
//! Keys are imported for one use and cannot be exported again. What the runtime says about a failure is dropped, because nobody outside
//! may learn from it, and [`CryptoError`] names the step.

use super::{CryptoError, SEAL_NONCE_BYTES, SealKey, base64url, pkcs8_from_pem};
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    fn import_key(
        format: &str,
        key: &Uint8Array,
        algorithm: &Object,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch)]
    fn encrypt(algorithm: &Object, key: &JsValue, data: &Uint8Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch)]
    fn decrypt(algorithm: &Object, key: &JsValue, data: &Uint8Array) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch)]
    fn sign(algorithm: &Object, key: &JsValue, data: &Uint8Array) -> Result<Promise, JsValue>;
}

/// What [`seal`] makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Drawn for this value alone.
    pub nonce: [u8; SEAL_NONCE_BYTES],
    /// With the tag of 16 bytes at its end.
    pub ciphertext: Vec<u8>,
}

/// Encrypts with AES-256-GCM under a fresh random nonce, and binds `associated` to it, which [`open`] has to be given again.
pub async fn seal(key: &SealKey, associated: &[u8], plain: &[u8]) -> Result<Sealed, CryptoError> {
    let mut nonce = [0; SEAL_NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| CryptoError::Refused)?;
    let algorithm = aes(&nonce, associated)?;
    let key = aes_key(key, "encrypt").await?;
    let started = encrypt(&algorithm, &key, &Uint8Array::from(plain)).map_err(|_| CryptoError::Refused)?;
    let ciphertext = bytes(started).await.ok_or(CryptoError::Refused)?;
    Ok(Sealed { nonce, ciphertext })
}

/// Decrypts what [`seal`] made with the same key and the same `associated`, unless a single bit of it was changed.
pub async fn open(
    key: &SealKey,
    associated: &[u8],
    nonce: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    if nonce.len() != SEAL_NONCE_BYTES {
        return Err(CryptoError::NotAuthentic);
    }
    let algorithm = aes(nonce, associated)?;
    let key = aes_key(key, "decrypt").await?;
    let started =
        decrypt(&algorithm, &key, &Uint8Array::from(ciphertext)).map_err(|_| CryptoError::NotAuthentic)?;
    bytes(started).await.ok_or(CryptoError::NotAuthentic)
}

/// Signs with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 7518 §3.3); `pem` is the private key. The signature comes as base64url, which is how
/// a JWT carries it.
pub async fn sign_rs256(pem: &str, message: &[u8]) -> Result<String, CryptoError> {
    let algorithm = object(&[("name", "RSASSA-PKCS1-v1_5".into()), ("hash", "SHA-256".into())])
        .ok_or(CryptoError::Refused)?;
    let key = Uint8Array::from(pkcs8_from_pem(pem)?.as_slice());
    let imported = import_key("pkcs8", &key, &algorithm, false, &Array::of1(&"sign".into()));
    let key = settled(imported.map_err(|_| CryptoError::Key)?).await.ok_or(CryptoError::Key)?;
    let started = sign(&algorithm, &key, &Uint8Array::from(message)).map_err(|_| CryptoError::Refused)?;
    Ok(base64url(&bytes(started).await.ok_or(CryptoError::Refused)?))
}

async fn aes_key(key: &SealKey, usage: &str) -> Result<JsValue, CryptoError> {
    let algorithm = object(&[("name", "AES-GCM".into())]).ok_or(CryptoError::Refused)?;
    let raw = Uint8Array::from(key.0.as_slice());
    let imported = import_key("raw", &raw, &algorithm, false, &Array::of1(&usage.into()));
    settled(imported.map_err(|_| CryptoError::Key)?).await.ok_or(CryptoError::Key)
}

fn aes(nonce: &[u8], associated: &[u8]) -> Result<Object, CryptoError> {
    let properties = [
        ("name", "AES-GCM".into()),
        ("iv", Uint8Array::from(nonce).into()),
        ("additionalData", Uint8Array::from(associated).into()),
    ];
    object(&properties).ok_or(CryptoError::Refused)
}

fn object(properties: &[(&str, JsValue)]) -> Option<Object> {
    let object = Object::new();
    for (name, value) in properties {
        Reflect::set(&object, &(*name).into(), value).ok()?;
    }
    Some(object)
}

async fn bytes(promise: Promise) -> Option<Vec<u8>> {
    Some(Uint8Array::new(&settled(promise).await?).to_vec())
}

async fn settled(promise: Promise) -> Option<JsValue> {
    JsFuture::from(promise).await.ok()
}
