package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// deeds are what the role act is told to do. A code below 0: it runs until SIGTERM; unready below 0: never.
type deeds struct {
	port, exit           int
	after, unready, late time.Duration
	panic                string
	fill                 int
}

// runAct behaves as it is told: what the tests of pods need.
func runAct(of release, told deeds) {
	begun := time.Now()
	say("INFO act %s (%s) starting", of.version, of.commit)
	if told.panic != "" {
		time.AfterFunc(told.after, func() { panic(told.panic) })
	} else if told.exit >= 0 {
		time.AfterFunc(told.after, func() { os.Exit(told.exit) })
	}
	if told.fill > 0 {
		if err := os.WriteFile("/fill", make([]byte, told.fill<<20), 0o600); err != nil {
			die("%v", err)
		}
	}
	if told.port == 0 {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
		<-stop
		return
	}
	time.Sleep(told.late)
	serve(fmt.Sprintf(":%d", told.port), "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/health":
			notFound(w)
		case told.unready >= 0 && time.Since(begun) >= told.unready:
			replyJSON(w, 503, object{"status": "error"})
		default:
			replyJSON(w, 200, object{"status": "ok"})
		}
	}))
}
