//! Seals, keys, throttle, options: the parts by themselves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

use crate::config::KeyRef;
use crate::keys;
use crate::options::SessionOptions;
use crate::signer::{Broken, Claims, Signer, Window};
use crate::throttle::Throttle;

const LATEST: i64 = 5_000;

fn at(now_ms: i64) -> Window {
    Window { now_ms, latest_ms: LATEST }
}

#[test]
fn a_seal_holds_for_its_kind_audience_and_time_and_for_every_byte() {
    let signer = Signer::new(&[7; 32], &[]);
    let sealed = signer.seal("ticket", "ana", b"payload", 1_000);
    assert_eq!(signer.unseal("ticket", "ana", &sealed, at(999)), Ok((b"payload".as_slice(), 1_000)));
    assert_eq!(signer.unseal("ticket", "ana", &sealed, at(1_000)), Err(Broken::Expired));
    assert_eq!(signer.unseal("handle", "ana", &sealed, at(0)), Err(Broken::Forged));
    assert_eq!(signer.unseal("ticket", "bob", &sealed, at(0)), Err(Broken::Forged));
    assert_eq!(signer.unseal("ticketa", "na", &sealed, at(0)), Err(Broken::Forged));
    assert_eq!(Signer::new(&[8; 32], &[]).unseal("ticket", "ana", &sealed, at(0)), Err(Broken::Forged));
    assert_eq!(
        signer.unseal("ticket", "ana", &signer.seal("ticket", "ana", b"x", LATEST + 1), at(0)),
        Err(Broken::Early)
    );
    for byte in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[byte] ^= 1;
        assert_eq!(signer.unseal("ticket", "ana", &changed, at(0)), Err(Broken::Forged), "byte {byte}");
        assert_eq!(signer.unseal("ticket", "ana", &sealed[..byte], at(0)), Err(Broken::Forged), "cut at {byte}");
    }
}

/// Of a newer replica, which may have sealed that it holds for less.
#[test]
fn what_is_sealed_and_not_known_is_not_passed_over() {
    let signer = Signer::new(&[7; 32], &[]);
    let token = |claims: &str| {
        let sealed = signer.seal("token", "", claims.as_bytes(), 1_000);
        signer.claims(&format!("pcl_{}", URL_SAFE_NO_PAD.encode(sealed)), at(0)).map(|(claims, _)| claims.user)
    };
    assert_eq!(token(r#"{"user":"ana","issued_ms":1,"credential":"x"}"#), Ok("ana".to_owned()));
    let narrower = token(r#"{"user":"ana","issued_ms":1,"credential":"x","domains":["orders"]}"#);
    assert_eq!(narrower, Err(Broken::Forged));
    let options = |text: &str| SessionOptions::from_bytes(text.as_bytes());
    assert_eq!(options(r#"{"as_of":1}"#).unwrap().as_of, Some(1));
    assert_eq!(options(r#"{"as_of":1,"branch":"audit"}"#), None);
    assert_eq!(options(r#"{"break_glass":{"reason":"it burns","until_ms":1,"tables":[]}}"#), None);
}

#[test]
fn a_key_takes_over_from_another_while_both_are_accepted() {
    let [one, two, three] = [vec![1; 32], vec![2; 32], vec![3; 32]];
    let before = Signer::new(&one, &[]);
    let prepared = Signer::new(&one, std::slice::from_ref(&two));
    let turned = Signer::new(&two, std::slice::from_ref(&one));
    let after = Signer::new(&two, &[]);
    let opens = |signer: &Signer, sealed: &[u8]| signer.unseal("ticket", "ana", sealed, at(0)).is_ok();
    let (old, new) = (before.seal("ticket", "ana", b"x", 1_000), turned.seal("ticket", "ana", b"x", 1_000));
    for (signer, of_old, of_new) in
        [(&before, true, false), (&prepared, true, true), (&turned, true, true), (&after, false, true)]
    {
        assert_eq!((opens(signer, &old), opens(signer, &new)), (of_old, of_new), "{:?}", signer.ids());
    }
    assert!(turned.is_mark(&before.mark("hash"), "hash") && !turned.is_mark(&before.mark("hash"), "hash2"));
    assert!(!after.is_mark(&before.mark("hash"), "hash"));
    let mut ids = Signer::new(&one, &[two, three]).ids();
    ids.dedup();
    assert_eq!((ids.len(), &ids[..2]), (3, prepared.ids().as_slice()));
    // Naming another key does not help, and an id is no secret's part.
    let mut renamed = old;
    renamed[1..5].copy_from_slice(&new[1..5]);
    assert!(!opens(&turned, &renamed));
}

#[test]
fn a_token_is_no_ticket_and_a_ticket_no_token() {
    let signer = Signer::new(&[7; 32], &[]);
    let claims = Claims { user: "ana".to_owned(), purpose: None, issued_ms: 1, credential: signer.mark("hash") };
    let token = signer.token(&claims, 1_000).unwrap();
    assert_eq!(signer.claims(&token, at(0)).unwrap(), (claims.clone(), 1_000));
    assert_eq!(signer.claims(&token, at(1_000)).unwrap_err(), Broken::Expired);
    assert_eq!(signer.claims("pcl_", at(0)).unwrap_err(), Broken::Forged);
    assert_eq!(signer.claims("eyJhbGciOiJub25lIn0.e30.", at(0)).unwrap_err(), Broken::Forged);
    let ticket = signer.seal("ticket", "", &serde_json::to_vec(&claims).unwrap(), 1_000);
    use base64::Engine;
    let posing = format!("pcl_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(ticket));
    assert_eq!(signer.claims(&posing, at(0)).unwrap_err(), Broken::Forged);
    assert_ne!(signer.mark("one"), signer.mark("other"));
}

#[test]
fn keys_are_made_once_kept_private_and_never_short() {
    let dir = TempDir::new().unwrap();
    let load = |reference: Option<&KeyRef>| keys::load("signing_key", reference, dir.path(), Path::new("keys"));
    let first = load(None).unwrap();
    assert!(first.len() >= 32);
    assert_eq!(load(None).unwrap(), first);
    assert_ne!(keys::load("mask_key", None, dir.path(), Path::new("keys")).unwrap(), first);
    let names: Vec<_> =
        fs::read_dir(dir.path().join("keys")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("keys"), mode("keys/signing_key.key")), (0o700, 0o600));
    }
    fs::write(dir.path().join("short"), "secret\n").unwrap();
    let error = load(Some(&KeyRef::File("short".into()))).unwrap_err();
    assert!(error.message.ends_with("has 6 bytes; a key needs at least 32"), "{error}");
    let error = load(Some(&KeyRef::Env("PORTCULLIS_TEST_UNSET".to_owned()))).unwrap_err();
    assert_eq!(error.message, "`secrets.signing_key`: the environment variable `PORTCULLIS_TEST_UNSET` is not set");
    fs::write(dir.path().join("long"), "x".repeat(40) + "\n").unwrap();
    assert_eq!(load(Some(&KeyRef::File("long".into()))).unwrap(), [b'x'; 40]);
}

#[test]
fn failed_logins_are_throttled_by_user_name_and_forgiven_after_the_window() {
    let throttle = Throttle::new(2, Duration::from_millis(60));
    throttle.failed("ana");
    assert_eq!(throttle.wait("ana"), None);
    throttle.failed("ana");
    assert!(throttle.wait("ana").is_some());
    assert_eq!(throttle.wait("dev"), None);
    std::thread::sleep(Duration::from_millis(70));
    assert_eq!(throttle.wait("ana"), None);
    throttle.failed("ana");
    throttle.succeeded("ana");
    throttle.failed("ana");
    assert_eq!(throttle.wait("ana"), None);
}
