package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// runAct behaves as it is told: what the tests of pods need. A code below 0: until SIGTERM; unready below 0: never.
func runAct(of release, port, code int, after, unready time.Duration) {
	begun := time.Now()
	say("INFO act %s (%s) starting", of.version, of.commit)
	if code >= 0 {
		time.AfterFunc(after, func() { os.Exit(code) })
	}
	if port == 0 {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
		<-stop
		return
	}
	serve(fmt.Sprintf(":%d", port), "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/health":
			notFound(w)
		case unready >= 0 && time.Since(begun) >= unready:
			replyJSON(w, 503, object{"status": "error"})
		default:
			replyJSON(w, 200, object{"status": "ok"})
		}
	}))
}
