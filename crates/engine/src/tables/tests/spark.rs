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

/// The command that runs a program with Spark; none without Java.
pub(super) fn command(program: &str) -> Option<Vec<String>> {
    let classpath = if has("java") { classpath("spark_writer") } else { None }?;
    let opened = OPENED.iter().flat_map(|package| ["--add-opens".into(), format!("java.base/{package}=ALL-UNNAMED")]);
    let program = fixtures().join("spark_writer").join(program).display().to_string();
    let rest = ["-Xmx2g".to_owned(), "-cp".to_owned(), classpath.trim().to_owned(), program];
    Some(["java".to_owned()].into_iter().chain(opened).chain(rest).collect())
}

/// Tables of both formats that Spark wrote.
pub(super) fn lake() -> Option<PathBuf> {
    lake_of("Write.java", "lake")
}

/// What Spark writes with a program: kept in this directory beside Spark's libraries, and written anew when the program has
/// changed. None without Java.
pub(super) fn lake_of(program: &str, directory: &str) -> Option<PathBuf> {
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().unwrap();
    let (Some(command), Some(classpath)) = (command(program), classpath("spark_writer")) else {
        skip("no Java with Maven to write tables with Spark");
        return None;
    };
    let source = std::fs::read_to_string(fixtures().join("spark_writer").join(program)).unwrap() + &classpath;
    let home = cache().join("spark_writer");
    let (lake, stamp) = (home.join(directory), home.join(format!("{directory}.stamp")));
    if std::fs::read_to_string(&stamp).is_ok_and(|written| written == source) {
        return Some(lake);
    }
    // Another run of the tests may be at it, too: the last to be ready wins, and none sees half a lake.
    let own = home.join(format!("{directory}-{}", std::process::id()));
    run(Command::new(&command[0]).args(&command[1..]).arg(&own));
    let _ = std::fs::remove_file(&stamp);
    let _ = std::fs::remove_dir_all(&lake);
    std::fs::rename(own, &lake).unwrap();
    std::fs::write(stamp, source).unwrap();
    Some(lake)
}
