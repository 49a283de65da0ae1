use object_store::CredentialProvider;

use super::*;

fn stores(mesh: &FilePath) -> Stores {
    Stores::new(&TablesOptions { store_timeout: Duration::from_secs(1), ..TablesOptions::new(mesh) })
}

fn message(fault: Fault) -> String {
    fault.at("d.t").to_string()
}

#[test]
fn paths_of_a_directory_stay_in_it() {
    let mesh = tempfile::TempDir::new().unwrap();
    std::fs::create_dir_all(mesh.path().join("lake/orders/t")).unwrap();
    let stores = stores(mesh.path());
    let root = stores.table_root("lake", "lake", &StoreOptions::default(), "lake/orders/t/").unwrap();
    assert_eq!(root.base.as_ref(), "orders/t");
    let inside = |name: &str| format!("{}/lake/{name}", mesh.path().display());
    let own = "orders/t/f 1%20.parquet";
    for uri in [inside(own), format!("file://{}", inside(own)), format!("file:{}", inside(own))] {
        assert_eq!(root.locate(&uri).unwrap(), Path::parse(own).unwrap(), "{uri}");
    }
    for foreign in ["orders/t2/f.parquet", "orders/f.parquet", "hr/salaries/f.parquet", "f.parquet"] {
        assert_eq!(
            message(root.locate(&inside(foreign)).unwrap_err()),
            "table `d.t` is withheld: its metadata names files outside of its own directory, and connection `lake` does \
             not give them to its domain",
            "{foreign}"
        );
    }
    for uri in ["/etc/passwd", "file:///etc/passwd", "s3://bucket/key", "relative", &inside("../secret"), "file://lake"]
    {
        assert!(root.locate(uri).is_err(), "{uri}");
    }
    assert_eq!(
        message(root.locate("file:///etc/passwd").unwrap_err()),
        "table `d.t` is withheld: it refers to files outside of connection `lake`"
    );
    assert!(root.below("../other").is_err());
    let again = stores.table_root("lake", "lake", &StoreOptions::default(), "lake/orders/u").unwrap();
    assert!(Arc::ptr_eq(&root.root, &again.root), "one store for a connection");
}

#[test]
fn a_table_that_was_moved_is_read_where_it_is() {
    let mesh = tempfile::TempDir::new().unwrap();
    std::fs::create_dir_all(mesh.path().join("lake/t")).unwrap();
    let stores = stores(mesh.path());
    let mut root = stores.table_root("lake", "lake", &StoreOptions::default(), "lake/t").unwrap();
    root.declared = Some("s3://old/place".into());
    assert_eq!(root.locate("s3://old/place/data/f.parquet").unwrap().as_ref(), "t/data/f.parquet");
    assert!(root.locate("s3://old/placebo/f.parquet").is_err());
    assert!(root.locate("s3://old/place/../../x").is_err());
}

#[test]
fn keys_of_a_bucket_stay_below_the_prefix() {
    let stores = stores(FilePath::new("/"));
    let options = StoreOptions {
        region: Some("us-east-1".into()),
        endpoint: Some("http://127.0.0.1:1".into()),
        allow_http: true,
        ..StoreOptions::default()
    };
    let root = stores.table_root("lake", "s3://b/lake", &options, "s3://b/lake/t").unwrap();
    assert_eq!(root.locate("s3a://b/lake/t/f.parquet").unwrap().as_ref(), "lake/t/f.parquet");
    for uri in ["s3://b/lake/t2/f", "s3://b/lakes/f", "s3://other/lake/f", "s3://b/f", "/lake/f", "gs://b/lake/f"] {
        assert!(root.locate(uri).is_err(), "{uri}");
    }
    let elsewhere = stores.catalogue_root("c", &options, "file:///lake/t", &HashMap::new(), None).unwrap_err();
    assert!(message(elsewhere).contains("not in an S3 store"));
    let whole = stores.catalogue_root("c", &options, "s3://b/", &HashMap::new(), None).unwrap_err();
    assert!(message(whole).contains("a whole bucket"));
    for bucket in ["evil.example#", "evil.example?", "me@evil.example", "evil.example:80", ""] {
        let location = format!("s3://{bucket}/t");
        let refused = stores.catalogue_root("c", &options, &location, &HashMap::new(), None).unwrap_err();
        assert!(message(refused).contains("an impossible name"), "{bucket}");
    }
}

#[test]
fn a_divided_connection_holds_a_table_to_its_domains_directories() {
    let stores = stores(FilePath::new("/"));
    let options = StoreOptions {
        region: Some("us-east-1".into()),
        endpoint: Some("http://127.0.0.1:1".into()),
        allow_http: true,
        ..StoreOptions::default()
    };
    let granted = ["s3://b/orders".to_owned(), "s3://b/raw/orders".to_owned(), "s3://other/orders".to_owned()];
    let at = |location: &str| {
        let root = stores.catalogue_root("c", &options, location, &HashMap::new(), None).unwrap();
        stores.granted(root, Some(&granted))
    };
    let root = at("s3://b/orders/t").unwrap();
    assert!(root.locate("s3://b/raw/orders/f").is_ok() && root.locate("s3://b/orders/other/f").is_ok());
    assert!(root.locate("s3://b/raw/hr/f").is_err() && root.locate("s3://b/hr/f").is_err());
    // A catalogue may let a table's writer move the table.
    for moved in ["s3://b/hr/salaries", "s3://b/ordersx/t", "s3://hr/orders/t"] {
        assert_eq!(
            message(at(moved).unwrap_err()),
            "table `d.t` is withheld: it is not in a directory that connection `c` gives to its domain",
            "{moved}"
        );
    }
    let own = root.of_metadata(&Path::parse("orders/u/metadata/v1.metadata.json").unwrap()).unwrap();
    assert!(own.locate("s3://b/raw/orders/f").is_ok() && own.locate("s3://b/hr/f").is_err());
}

/// A host that a catalogue's answer names must not get what the platform uses for this store.
#[test]
fn credentials_of_the_platform_are_for_the_platforms_endpoint() {
    let mesh = tempfile::TempDir::new().unwrap();
    for name in ["id", "key"] {
        std::fs::write(mesh.path().join(name), "platform").unwrap();
    }
    let stores = stores(mesh.path());
    let own = StoreOptions {
        region: Some("eu".into()),
        access_key_id: Some(SecretRef::File("id".into())),
        secret_access_key: Some(SecretRef::File("key".into())),
        ..StoreOptions::default()
    };
    let evil = || ("s3.endpoint".to_owned(), "https://evil.example".to_owned());
    let keys = ["s3.access-key-id", "s3.secret-access-key"].map(|name| (name.to_owned(), "vended".to_owned()));
    let client = |options: &StoreOptions, vended: HashMap<String, String>| {
        format!(
            "{:?}",
            stores.client("c", &Bucket::S3("b".into()), options, &Lent::by(&vended, options, None)).unwrap()
        )
    };
    assert!(!client(&own, HashMap::from([evil()])).contains("evil.example"));
    let both = keys.iter().cloned().chain([evil()]).collect();
    assert!(!client(&own, both).contains("evil.example"), "the platform's keys come first, and so does its endpoint");
    let none = StoreOptions { region: Some("eu".into()), ..StoreOptions::default() };
    assert!(
        !client(&none, HashMap::from([evil()])).contains("evil.example"),
        "the environment's keys are the platform's"
    );
    let vended = keys.iter().cloned().chain([evil()]).collect();
    assert!(client(&none, vended).contains("evil.example"), "what the catalogue hands out goes where it says");
}

#[tokio::test]
async fn lent_credentials_are_renewed_where_they_are_used() {
    let mesh = tempfile::TempDir::new().unwrap();
    std::fs::write(mesh.path().join("own"), "own").unwrap();
    let stores = stores(mesh.path());
    let lent = |id: &str, endpoint: &str| {
        let all = [
            ("s3.access-key-id", id),
            ("s3.secret-access-key", "s"),
            ("s3.session-token", id),
            ("s3.endpoint", endpoint),
        ];
        HashMap::from(all.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    let options = StoreOptions { region: Some("eu".into()), ..StoreOptions::default() };
    let open = |location: &str, id: &str, endpoint: &str| {
        stores.catalogue_root("c", &options, location, &lent(id, endpoint), None).unwrap().root
    };
    let first = open("s3://b/t", "one", "https://a.example");
    let again = open("s3://b/t", "two", "https://a.example");
    assert!(Arc::ptr_eq(&first, &again), "what is known of files is kept");
    let used = first.lent.as_ref().unwrap().get_credential().await.unwrap();
    assert_eq!(
        (used.key_id.as_str(), used.token.as_deref()),
        ("two", Some("two")),
        "a query that runs goes on with these"
    );
    let other = open("s3://b/u", "three", "https://a.example");
    let elsewhere = open("s3://b/t", "four", "https://b.example");
    assert!(!Arc::ptr_eq(&first, &other) && !Arc::ptr_eq(&first, &elsewhere));
    let used = first.lent.as_ref().unwrap().get_credential().await.unwrap();
    assert_eq!(used.key_id, "two", "neither another table's nor another host's");
    let own = Some(SecretRef::File("own".into()));
    let options = StoreOptions { access_key_id: own.clone(), secret_access_key: own, ..options.clone() };
    let plain = stores.catalogue_root("c", &options, "s3://b/t", &lent("five", "https://a.example"), None).unwrap();
    assert!(plain.root.lent.is_none(), "the connection's own come first");
}

#[test]
fn secrets_and_directories_that_are_missing_are_named() {
    let mesh = tempfile::TempDir::new().unwrap();
    let stores = stores(mesh.path());
    std::fs::write(mesh.path().join("token"), "abc\r\n").unwrap();
    assert_eq!(stores.secret("c", &SecretRef::File("token".into())).unwrap(), "abc");
    let missing = stores.secret("c", &SecretRef::Env("PORTCULLIS_TEST_UNSET".into())).unwrap_err();
    assert_eq!(
        message(missing),
        "table `d.t` is not available: connection `c` needs the environment variable `PORTCULLIS_TEST_UNSET`; try again later"
    );
    let missing = stores.table_root("lake", "nowhere", &StoreOptions::default(), "nowhere/t").unwrap_err();
    assert_eq!(
        message(missing),
        "table `d.t` is not available: the directory of connection `lake` does not exist; try again later"
    );
}

#[test]
fn scans_reach_no_other_store() {
    let registry = Registry::default();
    for url in ["file:///", "s3://bucket", "portcullis-store://s0"] {
        assert!(registry.get_store(&Url::parse(url).unwrap()).is_err(), "{url}");
    }
}
