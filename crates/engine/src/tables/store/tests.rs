use super::*;

fn stores(mesh: &FilePath) -> Stores {
    Stores::new(mesh.to_path_buf(), Duration::from_secs(1), 1000)
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
    for uri in [
        inside("x/f 1%20.parquet"),
        format!("file://{}", inside("x/f 1%20.parquet")),
        format!("file:{}", inside("x/f 1%20.parquet")),
    ] {
        assert_eq!(root.locate(&uri).unwrap(), Path::parse("x/f 1%20.parquet").unwrap(), "{uri}");
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
    for uri in ["s3://b/lakes/f", "s3://other/lake/f", "s3://b/f", "/lake/f", "gs://b/lake/f"] {
        assert!(root.locate(uri).is_err(), "{uri}");
    }
    let elsewhere = stores.catalogue_root("c", &options, "file:///lake/t", &HashMap::new()).unwrap_err();
    assert!(message(elsewhere).contains("not in an S3 store"));
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
