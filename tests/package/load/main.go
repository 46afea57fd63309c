// Load sends mail through an SMTP server on loopback at a steady rate, and is the
// place where it arrives: what each transaction was answered is counted, and whether
// each accepted message arrived once. It sends until its standard input ends, then
// waits for what is on its way, and prints its report as JSON. With -receive it sends
// nothing, and keeps what arrives.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

var (
	server   = flag.String("server", "127.0.0.1:25", "the SMTP server")
	sinkAt   = flag.String("sink", "127.0.0.1:2525", "where its mail arrives")
	password = flag.String("password", "", "of the logins load1@client-a.example and so on")
	clients  = flag.Int("clients", 4, "that send at the same time")
	rate     = flag.Int("rate", 50, "messages a second of all clients")
	settle   = flag.Duration("settle", time.Minute, "how long accepted mail may take to arrive")
	receive  = flag.String("receive", "", "send nothing, and write what arrives into this folder")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	arrived, err := listen(*sinkAt, *receive)
	if err != nil {
		return err
	}
	defer arrived.close()
	if *receive != "" {
		<-arrived.ended
		return nil
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(send(arrived))
}

// send sends until standard input ends.
func send(arrived *sink) Report {
	ctx, stop := context.WithCancel(context.Background())
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()

	begun := time.Now()
	turn := time.Second / time.Duration(*rate)
	results := make(chan Result)
	for i := range *clients {
		c := client{
			server: *server, login: fmt.Sprintf("load%d@client-a.example", i+1), password: *password,
			// They take turns, so that at each moment another one is somewhere else.
			first: begun.Add(time.Duration(i) * turn), every: time.Duration(*clients) * turn,
			// Half of the clients send one message per connection, half many.
			perConnection: 1 + 19*(i%2),
		}
		go func() { c.send(ctx, results); results <- Result{last: true} }()
	}
	all := collect(results, *clients)
	seconds := time.Since(begun).Seconds()
	arrived.await(all, *settle)
	report := arrived.report(all)
	report.Seconds = seconds
	return report
}

// collect reads results until every client has sent its last.
func collect(results <-chan Result, clients int) []Result {
	var all []Result
	for clients > 0 {
		r := <-results
		if r.last {
			clients--
			continue
		}
		all = append(all, r)
	}
	return all
}
