use portcullis_contract::SourceFile;
use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber};

use super::*;

struct Names<'a> {
    common: &'a [&'a str],
    uris: &'a [&'a str],
    dns: &'a [&'a str],
}

const NOBODY: Names<'static> = Names { common: &[], uris: &[], dns: &[] };

fn certificate(names: &Names<'_>) -> ClientCertificate {
    let mut params = CertificateParams::new(names.dns.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "an organisation, which is no common name");
    for name in names.common {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    let uris = names.uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
    params.subject_alt_names.extend(uris);
    params.serial_number = Some(SerialNumber::from(vec![0x0a, 0xbc, 0x12]));
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    ClientCertificate::read(made.der()).unwrap()
}

fn settings(name: CertificateName, users: &[(&str, &str)]) -> Settings {
    let users = users.iter().map(|(name, user)| ((*name).to_owned(), (*user).to_owned())).collect();
    Settings { name, users, revoked: Some("revoked.txt".into()), required: false }
}

#[test]
fn the_configured_kind_of_name_says_who_it_is_and_there_is_one() {
    let long = "n".repeat(300);
    let ana = certificate(&Names { common: &["ana"], uris: &["spiffe://mesh/ana"], dns: &["ana.example.com"] });
    for (name, user) in [
        (CertificateName::Uri, "spiffe://mesh/ana"),
        (CertificateName::Dns, "ana.example.com"),
        (CertificateName::CommonName, "ana"),
    ] {
        assert_eq!(ana.user(&settings(name, &[])).unwrap(), user);
        assert_eq!(ana.user(&settings(name, &[(user, "nightly")])).unwrap(), "nightly");
        let error = ana.user(&settings(name, &[("other", "nightly")])).unwrap_err();
        assert!(error.message.contains("stands for no user"), "{error}");
        assert!(!error.message.contains(user), "what it says is not repeated");
        let error = certificate(&NOBODY).user(&settings(name, &[])).unwrap_err();
        assert!(error.message.contains("has 0 names"), "{error}");
    }
    let two =
        certificate(&Names { common: &["ana"], uris: &["spiffe://a", "spiffe://b"], dns: &["a.example", "b.example"] });
    for name in [CertificateName::Uri, CertificateName::Dns] {
        assert!(two.user(&settings(name, &[])).unwrap_err().message.contains("has 2 names"));
    }
    let name = settings(CertificateName::CommonName, &[]);
    assert_eq!(certificate(&Names { common: &[&long], ..NOBODY }).user(&name).unwrap(), long, "lengths of two bytes");
    for bad in [&b""[..], b"x", &[0x30, 0x82], &[0x30, 0x80, 0, 0]] {
        assert!(ClientCertificate::read(bad).is_err());
    }
}

#[test]
fn a_damaged_subject_names_nobody() {
    let sound = [0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 0x0c, 2, b'a', b'b'];
    assert_eq!(common_names(&sound).unwrap(), ["ab"]);
    assert_eq!(common_names(&[]).unwrap(), Vec::<String>::new());
    for cut in 1..sound.len() {
        assert_eq!(common_names(&sound[..cut]), None, "{cut}");
    }
    for (at, byte) in [(0, 0x30), (1, 200), (2, 0x31), (4, 5), (9, 0x1e), (10, 0x84), (11, 0xff)] {
        let mut damaged = sound;
        damaged[at] = byte;
        assert_eq!(common_names(&damaged), None, "{at}");
    }
}

#[test]
fn what_is_revoked_is_found_however_it_is_written() {
    let found = certificate(&NOBODY);
    let print = found.fingerprint().to_owned();
    let pairs: Vec<_> =
        print.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap().to_uppercase()).collect();
    let settings = settings(CertificateName::Uri, &[]);
    let read = |text: &str| Revoked::read(&settings, Some(&Ok(SourceFile::new("revoked.txt", text)))).0;
    let other = "0".repeat(64);
    for text in [
        &print,
        &pairs.join(":"),
        &format!("# who left\n\n  {print} # ana\n{other}"),
        "serial abc12",
        "serial: 00:0A:BC:12",
        "serial=0ABC12",
    ] {
        let error = read(text).accepts(&found).unwrap_err();
        assert_eq!(error.message, "the client certificate is revoked", "{text}");
    }
    for text in ["", "\n# nobody\n", &other, "serial 0abc1", "serial 1"] {
        assert!(read(text).accepts(&found).is_ok(), "{text}");
    }
    for text in ["nonsense", "abc12", "serial", "serial x", &print[1..], &format!("{other}\n{print}0")] {
        let source = Ok(SourceFile::new("revoked.txt", text));
        let (revoked, findings) = Revoked::read(&settings, Some(&source));
        assert!(revoked.accepts(&found).unwrap_err().message.contains("cannot be known"), "{text}");
        assert_eq!(findings[0].code, UNREADABLE);
    }
    assert!(Revoked::read(&settings, None).0.accepts(&found).is_err(), "the file is gone");
    assert!(Revoked::read(&settings, Some(&Err((String::new(), String::new())))).0.accepts(&found).is_err());
    let none = Settings { revoked: None, ..settings.clone() };
    assert!(Revoked::read(&none, None).0.accepts(&found).is_ok(), "none is configured");
}
