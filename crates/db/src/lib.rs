//! The SQLite file: pool, migrations, durable writes, one module per table family.
