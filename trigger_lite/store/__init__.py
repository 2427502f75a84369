"""The database: tables, migrations, named queries, the single writer."""
