//! Iceberg and Delta tables written by Spark.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use super::java::{cache, classpath, has};
use super::support::{fixtures, run, skip};

/// What Spark needs of Java to run outside of its own scripts.
const OPENED: &[&str] = &[
    "java.lang",
    "java.lang.invoke",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "sun.nio.ch",
    "sun.security.action",
    "sun.util.calendar",
];

/// What Spark wrote: kept beside Spark's libraries, and written anew when what writes it has changed. None without Java.
pub(super) fn lake() -> Option<PathBuf> {
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().unwrap();
    let Some(classpath) = (if has("java") { classpath("spark_writer") } else { None }) else {
        skip("no Java with Maven to write tables with Spark");
        return None;
    };
    let program = fixtures().join("spark_writer/Write.java");
    let source = std::fs::read_to_string(&program).unwrap() + &classpath;
    let home = cache().join("spark_writer");
    let (lake, stamp) = (home.join("lake"), home.join("lake.stamp"));
    if std::fs::read_to_string(&stamp).is_ok_and(|written| written == source) {
        return Some(lake);
    }
    // Another run of the tests may be at it, too: the last to be ready wins, and none sees half a lake.
    let own = home.join(format!("lake-{}", std::process::id()));
    let opened = OPENED.iter().flat_map(|package| ["--add-opens".into(), format!("java.base/{package}=ALL-UNNAMED")]);
    let mut java = Command::new("java");
    run(java.args(opened).args(["-Xmx2g", "-cp", classpath.trim()]).arg(program).arg(&own));
    let _ = std::fs::remove_file(&stamp);
    let _ = std::fs::remove_dir_all(&lake);
    std::fs::rename(own, &lake).unwrap();
    std::fs::write(stamp, source).unwrap();
    Some(lake)
}
