// Zkprova is the demo application of the drill: one static program for every role.
//
//	zkprova backend [--listen ADDRESS] [--port-file FILE] [--pod-folder DIR]
//	zkprova frontend [--listen ADDRESS] [--port-file FILE]
//	zkprova migrate up
//	zkprova loopback --kubeconfig FILE --namespace N --data DIR --port-file FILE
//	zkprova load --url URL [--per-second N]
//	zkprova act [--port=N] [--exit=CODE] [--after=SECONDS] [--unready-after=SECONDS]
//	            [--late=SECONDS] [--panic=TEXT] [--fill=MIB] [--unless=FILE]
//	zkprova pause
//	zkprova version
//
// Version and commit are the image's: ZKPROVA_VERSION, such as 1.8.0-3f9c2e1. The drill's README says what the
// application does.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = "usage: zkprova backend|frontend|migrate up|loopback|load|act|pause|version [OPTIONS]"

// source is the digest of the sources that this was built from.
var source = "unknown"

func main() {
	if len(os.Args) < 2 {
		fail(usage)
	}
	role, arguments := os.Args[1], os.Args[2:]
	options := flag.NewFlagSet("zkprova "+role, flag.ExitOnError)
	listen := options.String("listen", ":8080", "address to serve on")
	portFile := options.String("port-file", "", "file for the port, once it listens")
	switch role {
	case "backend":
		podFolder := options.String("pod-folder", "/dev/shm", "a folder that stays while the pod does")
		_ = options.Parse(arguments)
		runBackend(imageRelease(), *listen, *portFile, *podFolder)
	case "frontend":
		_ = options.Parse(arguments)
		runFrontend(imageRelease(), *listen, *portFile)
	case "migrate":
		if len(arguments) != 1 || arguments[0] != "up" {
			fail("usage: zkprova migrate up")
		}
		runMigrate(imageRelease())
	case "loopback":
		kubeconfig := options.String("kubeconfig", "", "how the API server is reached: JSON, one cluster, one user")
		namespace := options.String("namespace", "", "the release's namespace")
		data := options.String("data", "", "the folder that stands for the node's disk")
		_ = options.Parse(arguments)
		runLoopback(*kubeconfig, *namespace, *data, *portFile)
	case "load":
		url := options.String("url", "", "the application's address, as its users know it")
		perSecond := options.Float64("per-second", 12, "requests a second")
		_ = options.Parse(arguments)
		runLoad(*url, *perSecond)
	case "act":
		port := options.Int("port", 0, "serve /health on this port")
		exit := options.Int("exit", -1, "exit with this code")
		after := options.Float64("after", 0, "seconds until it exits")
		unready := options.Float64("unready-after", -1, "seconds until /health answers 503")
		late := options.Float64("late", 0, "seconds until it serves")
		text := options.String("panic", "", "panic with this text, instead of an exit")
		fill := options.Int("fill", 0, "write so many MiB to /fill")
		unless := options.String("unless", "", "nothing of exit, panic and fill if this file is there at the start")
		_ = options.Parse(arguments)
		told := deeds{*port, *exit, seconds(*after), seconds(*unready), seconds(*late), *text, *fill}
		if _, err := os.Stat(*unless); *unless != "" && err == nil {
			told.exit, told.panic, told.fill = -1, "", 0
		}
		runAct(imageRelease(), told)
	case "version":
		fmt.Println("zkprova", source)
	case "pause":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
		<-stop
	default:
		fail(usage)
	}
}

// release is what an image brings.
type release struct{ version, commit string }

func imageRelease() release { return releaseOf(os.Getenv("ZKPROVA_VERSION")) }

// releaseOf reads a tag, such as 1.8.0-3f9c2e1.
func releaseOf(tag string) release {
	version, commit, _ := strings.Cut(tag, "-")
	return release{version, commit}
}

// serve answers until SIGTERM; then what was begun is finished.
func serve(address, portFile string, handler http.Handler) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		die("%v", err)
	}
	if portFile != "" {
		port := listener.Addr().(*net.TCPAddr).Port
		part := portFile + ".part" // the file is never seen half-written
		if err = os.WriteFile(part, fmt.Appendf(nil, "%d\n", port), 0o644); err == nil {
			err = os.Rename(part, portFile)
		}
		if err != nil {
			die("%v", err)
		}
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second}
	drained := make(chan struct{})
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
		<-stop
		drain(server)
		close(drained)
	}()
	if err = server.Serve(listener); err != http.ErrServerClosed {
		die("%v", err)
	}
	<-drained
}

// say writes one line of the log.
func say(format string, values ...any) {
	stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	fmt.Printf("%s %s\n", stamp, fmt.Sprintf(format, values...))
}

// die ends the program with a last line in the log.
func die(format string, values ...any) {
	say("FATAL: "+format, values...)
	os.Exit(1)
}

func fail(sentence string) {
	fmt.Fprintln(os.Stderr, sentence)
	os.Exit(2)
}

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }
