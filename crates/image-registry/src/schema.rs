//! The tables of a registry and the versions of their layout.
//!
//! **Invariant:** a layout that was released is never edited: a change is another step at the end of
//! [`STEPS`], and the step number is the version that `PRAGMA user_version` holds.

use std::path::Path;

use outport_acknowledged::WatchedDatabase;
use rusqlite::Connection;

use crate::RegistryError;

/// Step n brings the tables from version n to version n + 1. The totals of [`WatchedDatabase`] are counted anew with each;
/// since version 2 there are some.
const STEPS: &[&str] = &[
    "
CREATE TABLE repository (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    account         TEXT NOT NULL,
    region          TEXT NOT NULL,
    name            TEXT NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    tag_mutability  TEXT NOT NULL,
    tag_exclusions  TEXT NOT NULL,
    scan_on_push    INTEGER NOT NULL,
    resource_tags   TEXT NOT NULL,
    UNIQUE (account, region, name)
) STRICT;

-- Every blob that exists as a file.
CREATE TABLE blob (
    digest          TEXT PRIMARY KEY,
    size_bytes      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which repository may serve which blob.
CREATE TABLE repository_blob (
    repository      INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    digest          TEXT NOT NULL REFERENCES blob (digest),
    seen_at_ms      INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blob_by_digest ON repository_blob (digest);

CREATE TABLE manifest (
    repository      INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    digest          TEXT NOT NULL,
    media_type      TEXT NOT NULL,
    artifact_type   TEXT,
    config_type     TEXT,
    subject         TEXT,
    annotations     TEXT,
    image_bytes     INTEGER NOT NULL,
    pushed_at_ms    INTEGER NOT NULL,
    pulled_at_ms    INTEGER,
    body            BLOB NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX manifest_by_subject ON manifest (repository, subject) WHERE subject IS NOT NULL;

-- What a manifest cannot do without: kind 'blob' or 'manifest'.
CREATE TABLE manifest_reference (
    repository      INTEGER NOT NULL,
    manifest        TEXT NOT NULL,
    kind            TEXT NOT NULL,
    digest          TEXT NOT NULL,
    PRIMARY KEY (repository, manifest, kind, digest),
    FOREIGN KEY (repository, manifest) REFERENCES manifest (repository, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_reference_by_digest ON manifest_reference (repository, kind, digest);

CREATE TABLE tag (
    repository      INTEGER NOT NULL,
    name            TEXT NOT NULL,
    digest          TEXT NOT NULL,
    PRIMARY KEY (repository, name),
    FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_by_digest ON tag (repository, digest);

CREATE TABLE upload (
    id              TEXT PRIMARY KEY,
    repository      INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    created_at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "",
    // What an older version would not ask before it serves, so that it must not open these tables.
    "
ALTER TABLE repository ADD COLUMN policy TEXT;
ALTER TABLE repository ADD COLUMN lifecycle_policy TEXT;
ALTER TABLE repository ADD COLUMN lifecycle_evaluated_at_ms INTEGER;
CREATE INDEX repository_with_lifecycle_policy ON repository (id) WHERE lifecycle_policy IS NOT NULL;

-- The preview of a lifecycle policy that was asked for last: what it says follows from both.
CREATE TABLE lifecycle_preview (
    repository      INTEGER PRIMARY KEY REFERENCES repository (id) ON DELETE CASCADE,
    policy          TEXT NOT NULL,
    started_at_ms   INTEGER NOT NULL
) STRICT;

-- What is set for all repositories of an account and region.
CREATE TABLE registry_setting (
    account         TEXT NOT NULL,
    region          TEXT NOT NULL,
    name            TEXT NOT NULL,
    value           TEXT NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;
",
];

/// The version of the tables; 0 when there are none.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Refuses tables of a newer version.
pub(crate) fn refuse_newer(found: i64, directory: &Path) -> Result<(), RegistryError> {
    let known = STEPS.len() as i64;
    if found > known {
        let directory = directory.display().to_string();
        return Err(RegistryError::FormatTooNew { directory, found, known });
    }
    Ok(())
}

/// Brings tables of version `found` up to date.
pub(crate) fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (version, step) in STEPS.iter().enumerate().skip(found.max(0) as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        if version > 0 {
            WatchedDatabase::count(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", version as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of each earlier version are read as they were: what they do not have is not set.
    #[test]
    fn rows_of_version_2_are_read() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch(STEPS[0]).expect("version 1");
        let row = "INSERT INTO repository (account, region, name, created_at_ms, tag_mutability, tag_exclusions,
             scan_on_push, resource_tags) VALUES ('000000000000', 'us-east-1', 'app', 7, 'MUTABLE', '[]', 0, '{}')";
        connection.execute(row, []).expect("a row of version 2");
        let transaction = connection.transaction().expect("a transaction");
        WatchedDatabase::count(&transaction).expect("totals");
        transaction.pragma_update(None, "user_version", 2).expect("version 2");
        transaction.commit().expect("committed");
        migrate(&mut connection, 2).expect("brought up to date");
        let transaction = connection.transaction().expect("a transaction");
        let read =
            crate::repository::read_repository(&transaction, crate::registry::RepositoryId(1));
        let read = read.expect("the repository");
        assert_eq!((read.name.as_str(), read.created_at_ms, read.policy), ("app", 7, None));
    }

    #[test]
    fn tables_are_made_once_and_newer_ones_are_refused() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection, 0).expect("made");
        connection
            .execute("INSERT INTO blob (digest, size_bytes) VALUES ('d', 1)", [])
            .expect("a row of this version");
        let found = version(&connection).expect("a version");
        refuse_newer(found, Path::new("registry")).expect("known");
        migrate(&mut connection, found).expect("left as they are");
        let rows: i64 = connection
            .query_row("SELECT count(*) FROM blob", [], |row| row.get(0))
            .expect("a count");
        assert_eq!(rows, 1);
        let refused = refuse_newer(99, Path::new("registry"));
        let text = refused.expect_err("a newer version is refused").to_string();
        assert_eq!(
            text,
            "the registry in registry has format 99; this version knows formats up to 3: start the version that wrote it"
        );
    }
}
