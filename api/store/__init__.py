"""The service's database: its tables, its connection, its migrations, and the journals kept in it."""
