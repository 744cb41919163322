package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// runMigrate applies the image's migrations that the database does not have yet, each as a whole or not at all. Their
// files are NUMBER_NAME.up.sql; each writes its number into schema_version.
func runMigrate(of release) {
	path, folder := databasePath(), os.Getenv("ZKPROVA_MIGRATIONS")
	if folder == "" {
		folder = "/migrations"
	}
	say("INFO migrate %s (%s) starting", of.version, of.commit)
	say("INFO database: opening %s", path)
	if err := prepare(path); err != nil {
		die("%s: %s", explain(err), path)
	}
	db, err := open(path, "rw", "10000")
	if err != nil {
		die("%s: %s", explain(err), path)
	}
	defer db.Close()
	files, err := filepath.Glob(filepath.Join(folder, "*.up.sql")) // in the order of their names
	if err != nil {
		die("%v", err)
	}
	var version int64
	current := func(q interface{ QueryRow(string, ...any) *sql.Row }) error {
		return q.QueryRow("SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".up.sql")
		text, err := os.ReadFile(file)
		if err != nil {
			die("%v", err)
		}
		digits, _, _ := strings.Cut(name, "_")
		number, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			die("migration %s: its name does not begin with its number", name)
		}
		err = transact(db, func(tx *sql.Tx) error {
			if err := current(tx); err != nil || number <= version {
				return err
			}
			_, err := tx.Exec(string(text))
			if err == nil {
				say("INFO migration %s: applied", name)
			}
			return err
		})
		if err != nil {
			die("migration %s: %s", name, explain(err))
		}
	}
	if err := current(db); err != nil {
		die("%s: %s", explain(err), path)
	}
	say("INFO database: schema %d", version)
}
