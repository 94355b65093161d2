//! Errors of the database.

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is not valid. The error does not repeat it: it contains a password.
    #[error("--database-url: {0}; write postgres://USER:PASSWORD@HOST/DATABASE")]
    Url(String),
    /// The tables cannot be migrated to this version.
    #[error("cannot migrate the database's tables: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Any other error of the database.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// A column has a value that this program does not write.
    #[error("table {table}, column {column}: unexpected value {value:?}")]
    Content {
        /// Name of the table.
        table: &'static str,
        /// Name of the column.
        column: String,
        /// The column's value.
        value: String,
    },
}
