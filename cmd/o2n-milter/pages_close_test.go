package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// A request in hand is answered while there is a store to ask; one that takes too long
// does not keep the daemon.
func TestClosePages(t *testing.T) {
	for name, waits := range map[string]bool{"in hand": false, "too long": true} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			begun, release := make(chan struct{}), make(chan struct{})
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(begun)
				<-release
				io.WriteString(w, "page")
			})}
			go srv.Serve(ln)
			got := make(chan error, 1)
			go func() {
				resp, err := http.Get("http://" + ln.Addr().String())
				if err == nil {
					resp.Body.Close()
				}
				got <- err
			}()
			<-begun
			closed := make(chan struct{})
			go func() {
				closePages(srv, slog.New(slog.DiscardHandler))
				close(closed)
			}()
			for { // until it listens no more
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					break
				}
				c.Close()
				time.Sleep(time.Millisecond)
			}
			if !waits {
				close(release)
			}
			if err := <-got; (err != nil) != waits {
				t.Errorf("the request ended with %v", err)
			}
			<-closed
			if waits {
				close(release)
			}
		})
	}
}
