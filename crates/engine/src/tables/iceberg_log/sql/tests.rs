//! Catalogues in SQLite, in both versions of their schema, with rows that lead where they should and elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_contract::{ConnectionKind, Source, SourcePath, SqlDatabase, StoreOptions, Table, TableFormat};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::tables::tests::{declared_in, iceberg_metadata};
use crate::tables::{Tables, TablesOptions};

const NO_VIEWS: &str = "CREATE TABLE iceberg_tables (catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) \
    NOT NULL, table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), \
    PRIMARY KEY (catalog_name, table_namespace, table_name))";
const VIEWS: &str = "ALTER TABLE iceberg_tables ADD COLUMN iceberg_type VARCHAR(5)";

/// A mesh directory with a catalogue and a warehouse.
struct Mesh {
    directory: TempDir,
    tables: Tables,
}

impl Mesh {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir_all(directory.path().join("lake")).unwrap();
        let mut options = TablesOptions::new(directory.path());
        options.refresh_age = Duration::ZERO;
        options.store_timeout = Duration::from_secs(2);
        let mesh = Self { tables: Tables::new(options), directory };
        mesh.sql(NO_VIEWS);
        mesh
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn sql(&self, statement: &str) {
        Connection::open(self.path().join("catalog.db")).unwrap().execute(statement, ()).unwrap();
    }

    /// Registers the metadata file `name`.
    fn register(&self, table: &str, name: &str) {
        let location = format!("file://{}/{name}", self.path().display());
        self.sql(&format!(
            "REPLACE INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location) \
            VALUES ('gold', 'sales.eu', '{table}', '{location}')"
        ));
    }

    /// Metadata of a table in `directory`, in the file `name` of that.
    fn write(&self, directory: &str, name: &str, column: &str) -> String {
        let location = format!("file://{}/{directory}", self.path().display());
        let file = self.path().join(directory).join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, iceberg_metadata(&location, column)).unwrap();
        format!("{directory}/{name}")
    }

    fn table(&self, file: &str, name: &str, column: &str, granted: Option<&str>) -> Table {
        let kind = ConnectionKind::IcebergSql {
            database: SqlDatabase::Sqlite { file: file.to_owned() },
            catalog: "gold".to_owned(),
            warehouse: "lake".to_owned(),
            store: StoreOptions::default(),
        };
        let table = declared_in(kind, SourcePath::Table(name.into()), "t", TableFormat::Iceberg, &[(column, "long")]);
        let granted = granted.map(|directory| vec![directory.to_owned()]);
        Table { source: Source { granted, ..table.source.clone() }, ..table }
    }

    async fn told(&self, name: &str, column: &str) -> String {
        self.of(&self.table("catalog.db", name, column, None)).await
    }

    async fn of(&self, table: &Table) -> String {
        match self.tables.pin(table).await {
            Ok(pinned) => pinned.snapshot().to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

const AWAY: &str = "table `test.t` is not available: ";
const WITHHELD: &str = "table `test.t` is withheld: ";

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_the_schema_are_read_and_views_are_no_tables() {
    let mesh = Mesh::new();
    mesh.register("t", &mesh.write("lake/t", "metadata/00000-a.metadata.json", "id"));
    assert_eq!(mesh.told("sales.eu.t", "id").await, "empty");
    mesh.sql(VIEWS);
    assert_eq!(mesh.told("sales.eu.t", "id").await, "empty", "as the migration leaves it");
    let view = format!("{WITHHELD}in the catalogue of connection `lake` it is not a table");
    for (kind, expected) in [("'TABLE'", "empty"), ("'VIEW'", view.as_str()), ("'odd'", view.as_str())] {
        mesh.sql(&format!("UPDATE iceberg_tables SET iceberg_type = {kind}"));
        assert_eq!(mesh.told("sales.eu.t", "id").await, expected);
    }
    mesh.sql("UPDATE iceberg_tables SET iceberg_type = NULL, metadata_location = NULL");
    assert_eq!(mesh.told("sales.eu.t", "id").await, view);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_read_anew_and_what_does_not_asks_the_store_nothing() {
    let mesh = Mesh::new();
    let first = mesh.write("lake/t", "metadata/00000-a.metadata.json", "id");
    mesh.register("t", &first);
    assert_eq!(mesh.told("sales.eu.t", "id").await, "empty");
    std::fs::remove_file(mesh.path().join(first)).unwrap();
    assert_eq!(mesh.told("sales.eu.t", "id").await, "empty", "its metadata is known");
    mesh.register("t", &mesh.write("lake/t", "metadata/00001-b.metadata.json", "number"));
    assert_eq!(mesh.told("sales.eu.t", "number").await, "empty");
    mesh.register("t", "lake/t/metadata/00002-c.metadata.json");
    let gone = mesh.told("sales.eu.t", "number").await;
    assert!(gone.starts_with(&format!("{AWAY}a file of it is not in the store of connection `lake`")), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_lead_nowhere_but_into_directories_of_the_warehouse() {
    let mesh = Mesh::new();
    let own = format!("{WITHHELD}it is not in a directory of its own in connection `lake`");
    let outside = format!("{WITHHELD}it refers to files outside of connection `lake`");
    let other = format!("{WITHHELD}the catalogue of connection `lake` names a file that is not a table's metadata");
    for (directory, name, expected) in [
        ("lake/t", "metadata/a.metadata.json", "empty"),
        ("lake/t", "a.metadata.json", "empty"),
        ("lake", "metadata/a.metadata.json", own.as_str()),
        ("lake", "a.metadata.json", own.as_str()),
        ("else/t", "metadata/a.metadata.json", outside.as_str()),
        ("lakes/t", "metadata/a.metadata.json", outside.as_str()),
        ("lake/t", "metadata/version-hint.text", other.as_str()),
    ] {
        mesh.register("t", &mesh.write(directory, name, "id"));
        assert_eq!(mesh.told("sales.eu.t", "id").await, expected, "{directory}/{name}");
    }
    mesh.register("t", "lake/../else/t/metadata/a.metadata.json");
    assert_ne!(mesh.told("sales.eu.t", "id").await, "empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_divided_catalogue_gives_a_domain_its_own_directories_only() {
    let mesh = Mesh::new();
    let foreign = format!("{WITHHELD}it is not in a directory that connection `lake` gives to its domain");
    for (directory, expected) in [("lake/orders/t", "empty"), ("lake/hr/t", foreign.as_str())] {
        mesh.register("t", &mesh.write(directory, "metadata/a.metadata.json", "id"));
        let table = mesh.table("catalog.db", "sales.eu.t", "id", Some("lake/orders"));
        assert_eq!(mesh.of(&table).await, expected, "{directory}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_connection_and_neither_files_nor_statements() {
    let mesh = Mesh::new();
    mesh.register("t", &mesh.write("lake/t", "metadata/a.metadata.json", "id"));
    std::fs::write(
        mesh.path().join("text.db"),
        "hunter2, which is long enough to be the header of a database or of none",
    )
    .unwrap();
    std::fs::write(mesh.path().join("empty.db"), "").unwrap();
    let absent = "the catalogue of connection `lake` does not have it";
    let none = "the database of connection `lake` holds no Iceberg catalogue";
    for (file, name, expected) in [
        ("catalog.db", "sales.eu.u", absent),
        ("catalog.db", "sales.t", absent),
        ("catalog.db", "sales.eu.t' OR 'a' = 'a", absent),
        ("nowhere.db", "sales.eu.t", "the database of connection `lake` cannot be opened"),
        ("text.db", "sales.eu.t", none),
        ("empty.db", "sales.eu.t", none),
    ] {
        let told = mesh.of(&mesh.table(file, name, "id", None)).await;
        assert_eq!(told, format!("{AWAY}{expected}; try again later"), "{file} {name}");
    }
    mesh.sql("UPDATE iceberg_tables SET catalog_name = 'silver'");
    assert_eq!(mesh.told("sales.eu.t", "id").await, format!("{AWAY}{absent}; try again later"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_being_written_is_waited_for() {
    let mesh = Arc::new(Mesh::new());
    mesh.register("t", &mesh.write("lake/t", "metadata/a.metadata.json", "id"));
    let writer = Connection::open(mesh.path().join("catalog.db")).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let reader = tokio::spawn({
        let mesh = Arc::clone(&mesh);
        async move { mesh.told("sales.eu.t", "id").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(reader.await.unwrap(), "empty");
}
