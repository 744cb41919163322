package main

import (
	"context"
	"io"
	"net/http"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	loadTimeout = 5 * time.Second
	inFlight    = 20 // more at once are not sent: the application is slower than its users
)

// asked is what users ask for, in turn. Their number is no multiple of the pods': every pod gets everything.
var asked = []string{
	"/api/orders", "/api/orders/1", "/api/search?q=punched+cards", "/api/orders", "/api/orders/2",
	"/api/search?q=gear+wheels", "/api/orders", "/api/orders/1", "/api/search?q=cards", "/api/orders", "/",
}

// runLoad asks as users would, so many times a second, until SIGTERM.
func runLoad(url string, perSecond float64) {
	if url == "" || perSecond <= 0 {
		fail("usage: zkprova load --url URL [--per-second N]")
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	client := &http.Client{Timeout: loadTimeout}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	places := make(chan struct{}, inFlight)
	var all sync.WaitGroup
	defer all.Wait()
	for turn := 0; ; turn++ {
		select {
		case <-stop.Done():
			return
		case <-ticker.C:
		}
		select {
		case places <- struct{}{}:
			all.Go(func() {
				defer func() { <-places }()
				if answer, err := client.Get(url + asked[turn%len(asked)]); err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
			})
		default:
		}
	}
}
