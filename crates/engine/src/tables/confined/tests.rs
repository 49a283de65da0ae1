use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};

use super::*;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

async fn lake() -> Arc<dyn ObjectStore> {
    let store = InMemory::new();
    for name in ["orders/t/a", "orders/t2/b", "hr/salaries/c", "raw/orders/d"] {
        store.put(&path(name), PutPayload::from_static(b"needle")).await.unwrap();
    }
    Arc::new(store)
}

#[tokio::test]
async fn what_is_not_below_an_allowed_directory_is_not_read() {
    let confined = Confined::new(lake().await, [path("orders/t"), path("raw/orders")], None);
    for allowed in ["orders/t/a", "raw/orders/d"] {
        assert!(confined.head(&path(allowed)).await.is_ok(), "{allowed}");
        assert!(confined.get_ranges(&path(allowed), std::slice::from_ref(&(0..2))).await.is_ok(), "{allowed}");
    }
    for foreign in ["orders/t2/b", "hr/salaries/c", "raw", "orders", ""] {
        let foreign = path(foreign);
        let refusals = [
            confined.get(&foreign).await.unwrap_err(),
            confined.head(&foreign).await.unwrap_err(),
            confined.get_range(&foreign, 0..2).await.unwrap_err(),
            confined.get_ranges(&foreign, std::slice::from_ref(&(0..2))).await.unwrap_err(),
            confined.list(Some(&foreign)).try_collect::<Vec<_>>().await.unwrap_err(),
            confined.list_with_offset(Some(&foreign), &foreign).try_collect::<Vec<_>>().await.unwrap_err(),
            confined.list_with_delimiter(Some(&foreign)).await.unwrap_err(),
        ];
        for error in refusals {
            assert!(matches!(error, Error::Generic { store: NAME, .. }), "{foreign}: {error}");
        }
    }
    assert!(confined.list(None).try_collect::<Vec<_>>().await.is_err());
    assert!(confined.list_with_delimiter(None).await.is_err());
    assert!(confined.put(&path("orders/t/a"), PutPayload::new()).await.is_err());
    assert!(confined.delete(&path("orders/t/a")).await.is_err());
    assert!(confined.copy(&path("orders/t/a"), &path("orders/t/e")).await.is_err());
}

#[tokio::test]
async fn a_whole_store_is_no_directory_of_a_table() {
    let confined = Confined::new(lake().await, [Path::ROOT], None);
    assert!(confined.head(&path("hr/salaries/c")).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_before_they_are_judged() {
    use object_store::local::LocalFileSystem;
    let lake = tempfile::TempDir::new().unwrap();
    let at = |name: &str| lake.path().join(name);
    for directory in ["hr/salaries", "orders/t"] {
        std::fs::create_dir_all(at(directory)).unwrap();
    }
    std::fs::write(at("hr/salaries/c"), "needle").unwrap();
    std::fs::write(at("orders/t/own"), "own").unwrap();
    std::os::unix::fs::symlink(at("hr/salaries/c"), at("orders/t/file")).unwrap();
    std::os::unix::fs::symlink(at("hr/salaries"), at("orders/t/dir")).unwrap();
    std::os::unix::fs::symlink(at("orders/t/own"), at("orders/t/alias")).unwrap();
    let real = std::fs::canonicalize(lake.path()).unwrap();
    let store = LocalFileSystem::new_with_prefix(&real).unwrap();
    let confined = Confined::new(Arc::new(store), [path("orders/t")], Some(real));
    for foreign in ["orders/t/file", "orders/t/dir/c"] {
        assert!(confined.get(&path(foreign)).await.is_err(), "{foreign}");
        assert!(confined.get_ranges(&path(foreign), std::slice::from_ref(&(0..2))).await.is_err(), "{foreign}");
    }
    for own in ["orders/t/own", "orders/t/alias"] {
        assert!(confined.get(&path(own)).await.is_ok(), "{own}");
    }
    let missing = confined.get(&path("orders/t/missing")).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
}

#[tokio::test]
async fn what_is_in_the_data_cache_is_for_who_may_read_the_file() {
    let (lake, directory) = (lake().await, tempfile::TempDir::new().unwrap());
    let cache = DataCache::open(&directory.path().join("cache"), 0).unwrap();
    let view = |of: &str| Confined::new(Arc::clone(&lake), [path(of)], None).with_cache(Some(cache.clone()));
    let file = Arc::new(("s0/hr/salaries/c".to_owned(), 6, 0));
    let secret = path("hr/salaries/c");
    let read = view("hr/salaries").data(&secret, &file, std::slice::from_ref(&(0..6))).await.unwrap();
    assert_eq!(read, ["needle"]);
    assert_eq!(cache.usage().misses, 1);
    for foreign in ["orders/t", "hr/salaries/c/d", "hr/sal", ""] {
        let error = view(foreign).data(&secret, &file, std::slice::from_ref(&(0..6))).await.unwrap_err();
        assert!(matches!(error, Error::Generic { store: NAME, .. }), "{foreign}: {error}");
    }
    // It is there, and who may read it needs no store.
    lake.delete(&secret).await.unwrap();
    assert_eq!(view("hr/salaries").data(&secret, &file, std::slice::from_ref(&(0..6))).await.unwrap(), ["needle"]);
}
