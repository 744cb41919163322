package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
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

// bounds are the upper limits of the histogram's buckets, in seconds.
var bounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// counters are one life's of one container.
type counters struct {
	lock      sync.Mutex
	requests  map[string]int        // handler and code, as Prometheus' labels
	durations map[string]*histogram // by handler
	orders    int
}

type histogram struct {
	buckets []int // by bounds, each for itself; what is above the last one counts in count alone
	count   int
	sum     float64
}

func newCounters() *counters {
	return &counters{requests: map[string]int{}, durations: map[string]*histogram{}}
}

func (c *counters) request(handler string, status int, took time.Duration) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.requests[fmt.Sprintf(`handler=%q,code="%d"`, handler, status)]++
	durations := c.durations[handler]
	if durations == nil {
		durations = &histogram{buckets: make([]int, len(bounds))}
		c.durations[handler] = durations
	}
	durations.count++
	durations.sum += took.Seconds()
	if index := sort.SearchFloat64s(bounds, took.Seconds()); index < len(bounds) {
		durations.buckets[index]++
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
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	metric("zkprova_build_info", "gauge", "Version and commit of the image.")
	fmt.Fprintf(&text, "zkprova_build_info{version=%q,commit=%q} 1\n", of.version, of.commit)
	metric("http_requests_total", "counter", "Requests that were answered, those for /metrics left out.")
	for _, labels := range slices.Sorted(maps.Keys(c.requests)) {
		fmt.Fprintf(&text, "http_requests_total{%s} %d\n", labels, c.requests[labels])
	}
	metric("http_request_duration_seconds", "histogram", "How long the answers took.")
	for _, handler := range slices.Sorted(maps.Keys(c.durations)) {
		one, below := c.durations[handler], 0
		for index, bound := range bounds {
			below += one.buckets[index]
			fmt.Fprintf(&text, "http_request_duration_seconds_bucket{handler=%q,le=\"%g\"} %d\n", handler, bound, below)
		}
		fmt.Fprintf(&text, "http_request_duration_seconds_bucket{handler=%q,le=\"+Inf\"} %d\n", handler, one.count)
		fmt.Fprintf(&text, "http_request_duration_seconds_sum{handler=%q} %g\n", handler, one.sum)
		fmt.Fprintf(&text, "http_request_duration_seconds_count{handler=%q} %d\n", handler, one.count)
	}
	metric("zkprova_orders_total", "counter", "Orders that were placed.")
	fmt.Fprintf(&text, "zkprova_orders_total %d\n", c.orders)
	return text.String()
}
