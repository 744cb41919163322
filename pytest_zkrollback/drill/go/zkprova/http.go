package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

func drain(server *http.Server) {
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = server.Shutdown(limit)
}

type object = map[string]any

func replyJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func replyText(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func notFound(w http.ResponseWriter) { replyJSON(w, 404, object{"error": "not found"}) }

// statusOf remembers the status of an answer.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (w *statusOf) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusOf) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// logged writes a line for every request: what was asked, the status, and which program asked.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusOf{w, 200}
		next.ServeHTTP(seen, r)
		client, _, _ := strings.Cut(r.UserAgent(), "/")
		say("INFO %s %s %d %s", r.Method, r.URL.EscapedPath(), seen.status, client)
	})
}

// counters are one life's of one container.
type counters struct {
	lock     sync.Mutex
	requests map[string]int // path and status, as Prometheus' labels
	errors   int
	orders   int
}

func newCounters() *counters { return &counters{requests: map[string]int{}} }

func (c *counters) request(path string, status int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.requests[fmt.Sprintf(`path="%s",status="%d"`, path, status)]++
	if status >= 500 {
		c.errors++
	}
}

func (c *counters) order() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.orders++
}

// render writes them in Prometheus' text format.
func (c *counters) render(of release) string {
	c.lock.Lock()
	defer c.lock.Unlock()
	var text strings.Builder
	metric := func(name, kind, help string) {
		fmt.Fprintf(&text, "# HELP zkprova_%s %s\n# TYPE zkprova_%s %s\n", name, help, name, kind)
	}
	metric("build_info", "gauge", "Version and commit of the image.")
	fmt.Fprintf(&text, "zkprova_build_info{version=%q,commit=%q} 1\n", of.version, of.commit)
	metric("requests_total", "counter", "Requests that were answered.")
	labels := make([]string, 0, len(c.requests))
	for label := range c.requests {
		labels = append(labels, label)
	}
	sort.Strings(labels)
	for _, label := range labels {
		fmt.Fprintf(&text, "zkprova_requests_total{%s} %d\n", label, c.requests[label])
	}
	metric("errors_total", "counter", "Requests that were answered with a status of 500 or above.")
	fmt.Fprintf(&text, "zkprova_errors_total %d\n", c.errors)
	metric("orders_total", "counter", "Orders that were placed.")
	fmt.Fprintf(&text, "zkprova_orders_total %d\n", c.orders)
	return text.String()
}
