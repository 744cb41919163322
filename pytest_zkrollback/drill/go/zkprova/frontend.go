package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"
)

// frontend answers the page and /health, and sends /api to the backend.
type frontend struct {
	release
	api http.Handler
}

func (f *frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/") && f.api != nil:
		f.api.ServeHTTP(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		notFound(w)
	case r.URL.Path == "/health":
		replyJSON(w, 200, object{"status": "ok", "version": f.version})
	case r.URL.Path == "/":
		page := fmt.Sprintf("<!doctype html><title>zkprova</title><h1>zkprova</h1><p>frontend %s</p>\n", f.version)
		replyText(w, 200, "text/html", page)
	default:
		notFound(w)
	}
}

func runFrontend(of release, address, portFile string) {
	where := os.Getenv("BACKEND_URL")
	say("INFO frontend %s (%s) starting", of.version, of.commit)
	f := &frontend{release: of}
	if where == "" {
		say("INFO sending /api to nowhere")
	} else {
		say("INFO sending /api to %s", where)
		target, err := url.Parse(where)
		if err != nil {
			die("BACKEND_URL: %v", err)
		}
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.Transport = &http.Transport{ResponseHeaderTimeout: 10 * time.Second}
		proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
			replyJSON(w, 502, object{"error": "the backend does not answer: " + err.Error()})
		}
		f.api = proxy
	}
	say("INFO listening on :8080")
	serve(address, portFile, logged(f))
}
