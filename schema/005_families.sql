-- Columns of what not every network has are NULL where it has none: heads without attention, a hidden
-- width without an MLP of two maps; position and activation were nullable before.

-- NOT NULL can only be taken away in the text of the schema: sqlite.org/lang_altertable.html, section 7.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql, 'n_heads INTEGER NOT NULL,', 'n_heads INTEGER,'), 'd_ff INTEGER NOT NULL,', 'd_ff INTEGER,')
WHERE type = 'table' AND name = 'runs';
PRAGMA writable_schema = RESET;
