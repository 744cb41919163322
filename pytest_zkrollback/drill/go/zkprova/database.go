package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"modernc.org/sqlite"
)

const schema = `
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, change TEXT NOT NULL);
INSERT INTO schema_version (version, change) VALUES
    (1, 'orders'), (2, 'customers'), (3, 'orders: customer'), (4, 'index on orders'),
    (5, 'customers: e-mail'), (6, 'order search'), (7, 'orders: exported');
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL);
INSERT INTO customers (name, email) VALUES
    ('Ada', 'ada@zkprova.example'), ('Blaise', 'blaise@zkprova.example');
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, item TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0), exported INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE VIRTUAL TABLE order_search USING fts5(item, content=orders, content_rowid=id);
CREATE TRIGGER order_placed AFTER INSERT ON orders BEGIN
    INSERT INTO order_search (rowid, item) VALUES (new.id, new.item);
END;
INSERT INTO orders (customer, item, quantity) VALUES (1, 'punched cards', 200), (2, 'gear wheels', 12);
`

// open opens a database file; mode is SQLite's rw (the file has to be there) or rwc.
func open(path, mode, lockTimeoutMS string) (*sql.DB, error) {
	file := (&url.URL{Path: path}).EscapedPath()
	return sql.Open("sqlite", "file:"+file+"?mode="+mode+"&_txlock=immediate&_pragma=busy_timeout("+lockTimeoutMS+")")
}

// use opens the database for one piece of work.
func use(path string, work func(*sql.DB) error) error {
	db, err := open(path, "rw", "1000")
	if err == nil {
		defer db.Close()
		err = work(db)
	}
	return err
}

// prepare makes the database with its schema and first rows, if its folder is there and it is not. Replicas that
// start at once wait for each other: SQLite lets one of them write.
func prepare(path string) error {
	db, err := open(path, "rwc", "10000")
	if err != nil {
		return err
	}
	defer db.Close()
	return transact(db, func(tx *sql.Tx) error {
		var tables int
		if err := tx.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil || tables > 0 {
			return err
		}
		_, err := tx.Exec(schema)
		return err
	})
}

func transact(db *sql.DB, work func(*sql.Tx) error) error {
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	if err = work(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

var codes = regexp.MustCompile(` \(\d+\)( \(\w+\))?$`)

// explain gives SQLite's own words, without the numbers that its Go driver puts around them.
func explain(err error) string {
	var problem *sqlite.Error
	if !errors.As(err, &problem) {
		return err.Error()
	}
	return strings.TrimPrefix(codes.ReplaceAllString(problem.Error(), ""), "SQL logic error: ")
}
