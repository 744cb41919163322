package main

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	defaultDatabase = "/var/lib/zkprova/zkprova.db"
	defaultIndex    = "order_search"          // SEARCH_INDEX names another one
	patience        = 1500 * time.Millisecond // how long a first life tries to open its database
	laterPatience   = 300 * time.Millisecond  // a later one, which does not listen meanwhile
	bodyLimit       = 1 << 20
	shown           = "50"
)

// backend answers /health, /api/orders, /api/search and /metrics.
type backend struct {
	release
	database   string
	index      string // the table that orders are searched in
	counters   *counters
	connecting func() bool // whether it still tries to open its database for the first time
}

type sound struct {
	Status   string `json:"status"`
	Version  string `json:"version"`
	Database string `json:"database"`
	Schema   *int64 `json:"schema"`
}

type unsound struct {
	Status   string `json:"status"`
	Version  string `json:"version,omitempty"`
	Database string `json:"database"`
	Detail   string `json:"detail,omitempty"`
}

type order struct {
	ID        int64  `json:"id"`
	Item      string `json:"item"`
	Quantity  int64  `json:"quantity"`
	CreatedAt string `json:"created_at,omitempty"`
}

// known gives a path's name in the metrics (empty: the backend does not have it), and the number of an order.
func known(path string) (string, int64) {
	if text, ok := strings.CutPrefix(path, "/api/orders/"); ok {
		if number, err := strconv.ParseUint(text, 10, 63); err == nil {
			return "/api/orders/{id}", int64(number)
		}
	}
	switch path {
	case "/health", "/api/orders", "/api/search", "/metrics":
		return path, 0
	}
	return "", 0
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, begun := &statusOf{w, 200}, time.Now()
	name, number := known(r.URL.Path)
	switch {
	case name == "/api/orders" && r.Method == http.MethodPost:
		b.place(seen, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead || name == "":
		name = "other"
		notFound(seen)
	case name == "/health":
		b.health(seen)
	case name == "/metrics":
		b.metrics(seen)
	case name == "/api/orders":
		b.list(seen)
	case name == "/api/search":
		b.search(seen, r.URL.Query().Get("q"))
	default:
		b.read(seen, number)
	}
	if name != "/metrics" {
		b.counters.request(name, seen.status, time.Since(begun))
	}
}

func (b *backend) metrics(w http.ResponseWriter) {
	replyText(w, 200, "text/plain; version=0.0.4", b.counters.render(b.release))
}

func (b *backend) health(w http.ResponseWriter) {
	var version sql.NullInt64
	err := use(b.database, func(db *sql.DB) error {
		return db.QueryRow("SELECT max(version) FROM schema_version").Scan(&version)
	})
	switch {
	case err == nil && version.Valid:
		replyJSON(w, 200, sound{"ok", b.version, "ok", &version.Int64})
	case err == nil:
		replyJSON(w, 200, sound{"ok", b.version, "ok", nil})
	case b.connecting():
		replyJSON(w, 200, unsound{"ok", b.version, "connecting", ""})
	default:
		replyJSON(w, 503, unsound{"error", b.version, "error", explain(err)})
	}
}

func (b *backend) query(where string, values ...any) ([]order, error) {
	orders := []order{}
	err := use(b.database, func(db *sql.DB) error {
		rows, err := db.Query("SELECT id, item, quantity, created_at FROM orders "+where+" ORDER BY id DESC LIMIT "+shown, values...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one order
			if err := rows.Scan(&one.ID, &one.Item, &one.Quantity, &one.CreatedAt); err != nil {
				return err
			}
			orders = append(orders, one)
		}
		return rows.Err()
	})
	return orders, err
}

func (b *backend) list(w http.ResponseWriter) {
	orders, err := b.query("")
	if err != nil {
		replyJSON(w, 503, object{"error": explain(err)})
		return
	}
	replyJSON(w, 200, object{"orders": orders})
}

func (b *backend) read(w http.ResponseWriter, number int64) {
	orders, err := b.query("WHERE id = ?", number)
	switch {
	case err != nil:
		replyJSON(w, 503, object{"error": explain(err)})
	case len(orders) == 0:
		replyJSON(w, 404, object{"error": fmt.Sprintf("there is no order %d", number)})
	default:
		replyJSON(w, 200, orders[0])
	}
}

// search finds the orders whose item has these words in this order.
func (b *backend) search(w http.ResponseWriter, words string) {
	if strings.TrimSpace(words) == "" {
		replyJSON(w, 400, object{"error": "send ?q=WORDS"})
		return
	}
	index, phrase := quoted(b.index), quoted(words)
	orders, err := b.query("WHERE id IN (SELECT rowid FROM "+index+" WHERE "+index+" MATCH ?)", phrase)
	if err != nil {
		replyJSON(w, 503, object{"error": explain(err)})
		return
	}
	replyJSON(w, 200, object{"orders": orders})
}

// quoted is a name or a phrase as SQLite takes it.
func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

func (b *backend) place(w http.ResponseWriter, r *http.Request) {
	placed, err := readOrder(http.MaxBytesReader(w, r.Body, bodyLimit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		replyText(w, 413, "text/plain", "too large")
		return
	}
	if err != nil {
		replyJSON(w, 400, object{"error": `send {"item": text, "quantity": whole number above 0}`})
		return
	}
	err = use(b.database, func(db *sql.DB) error {
		done, err := db.Exec("INSERT INTO orders (customer, item, quantity) VALUES (1, ?, ?)", placed.Item, placed.Quantity)
		if err == nil {
			placed.ID, err = done.LastInsertId()
		}
		return err
	})
	if err != nil {
		replyJSON(w, 503, object{"error": explain(err)})
		return
	}
	b.counters.order()
	replyJSON(w, 201, placed)
}

func readOrder(body io.Reader) (order, error) {
	var given struct {
		Item     *string `json:"item"`
		Quantity *int64  `json:"quantity"`
	}
	text, err := io.ReadAll(body)
	if err == nil {
		err = json.Unmarshal(text, &given)
	}
	if err == nil && (given.Item == nil || given.Quantity == nil || *given.Quantity < 1) {
		err = errors.New("incomplete")
	}
	if err != nil {
		return order{}, err
	}
	return order{Item: *given.Item, Quantity: *given.Quantity}, nil
}

func databasePath() string { return cmp.Or(os.Getenv("DATABASE_PATH"), defaultDatabase) }

// runBackend serves. Without its database the first life listens, and so gets ready, while it tries to open it, and
// then crashes; a later life crashes before it listens.
func runBackend(of release, address, portFile, podFolder string) {
	path := databasePath()
	say("INFO backend %s (%s) starting", of.version, of.commit)
	say("INFO database: opening %s", path)
	var connecting atomic.Bool
	first := isFirstLife(podFolder)
	if err := prepare(path); err == nil {
		say("INFO database: ok")
	} else {
		say("WARN database: %s, trying again", explain(err))
		if !first {
			connect(path, laterPatience)
		} else {
			connecting.Store(true)
			go func() {
				connect(path, patience)
				connecting.Store(false)
			}()
		}
	}
	say("INFO listening on :8080")
	index := cmp.Or(os.Getenv("SEARCH_INDEX"), defaultIndex)
	serve(address, portFile, logged(&backend{of, path, index, newCounters(), connecting.Load}))
}

// connect tries again until the database opens, and ends the program if it does not.
func connect(path string, patience time.Duration) {
	deadline := time.Now().Add(patience)
	for {
		time.Sleep(100 * time.Millisecond)
		err := prepare(path)
		if err == nil {
			say("INFO database: ok")
			return
		}
		if time.Now().After(deadline) {
			die("%s: %s", explain(err), path)
		}
	}
}

// isFirstLife tells whether the container starts for the first time in its pod. Its own file system is new in every
// life, but /dev/shm is the pod's.
func isFirstLife(podFolder string) bool {
	file, err := os.OpenFile(filepath.Join(podFolder, "zkprova-backend-started"), os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		file.Close()
	}
	return !os.IsExist(err)
}
