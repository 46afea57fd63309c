// Command bench measures what the filter costs, beside a filter that does nothing, and
// prints tables in Markdown. With -write FILE it puts them there too, between the marks
// of each part, and draws the charts beside it.
//
//	go run ./tests/bench                          # all: "make bench"
//	go run ./tests/bench -only load -rounds 1     # a developer's look at his change
//
// Everything runs on loopback, from a scratch folder. Two filters are compared in turns,
// round by round, and a ratio is the median of the rounds' ratios: what else the machine
// does hits both.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"o2n-milter/tests/bench/chart"
	"o2n-milter/tests/marks"
)

// bench is what all parts go by.
type bench struct {
	rounds int
	each   time.Duration // of load in one round
	nagle  bool
	day    int // messages of a simulated day
	write  string
}

// parts in the order in which they run; the last one only when it is named.
var parts = []struct {
	name string
	do   func(*part)
}{
	{"go", (*part).packages},
	{"load", (*part).load},
	{"postfix", (*part).postfix},
	{"growth", (*part).growth},
	{"overload", (*part).overload},
	{"day", (*part).day24},
}

const onlyNamed = "day"

func main() {
	if len(os.Args) == 3 && os.Args[1] == noopCommand {
		fmt.Fprintln(os.Stderr, "bench:", serveNoop(os.Args[2]))
		os.Exit(1)
	}
	var b bench
	only := flag.String("only", "", "run these `PARTS`, with commas between them: go, load, postfix, growth, overload, day")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each comparison is made")
	flag.DurationVar(&b.each, "each", 1200*time.Millisecond, "how long one run of load takes")
	flag.BoolVar(&b.nagle, "nagle", false, "leave Nagle's algorithm on, as Postfix does")
	flag.IntVar(&b.day, "messages", 1_000_000, "of the simulated day")
	flag.StringVar(&b.write, "write", "", "put the tables into this `FILE` too, and the charts beside it")
	flag.Parse()
	if err := b.run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run does the parts that are wanted. One that fails does not keep the others from it.
func (b *bench) run(only string) error {
	wanted, err := chosen(only)
	if err != nil {
		return err
	}
	remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	about := machine()
	fmt.Println(about)
	var faults error
	for _, name := range wanted {
		p := &part{bench: b, name: name}
		if err := p.run(partNamed(name)); err != nil {
			fmt.Fprintf(os.Stderr, "== %s: %v\n", name, err)
			if !errors.Is(err, errSkipped) {
				faults = errors.Join(faults, fmt.Errorf("%s: %w", name, err))
			}
			continue
		}
		fmt.Print("\n", p.out.String())
		if b.write != "" {
			faults = errors.Join(faults, marks.Replace(b.write, "make bench writes: "+name, about+"\n\n"+p.out.String()))
		}
	}
	return faults
}

func chosen(only string) (list []string, err error) {
	for _, p := range parts {
		if only == "" && p.name != onlyNamed {
			list = append(list, p.name)
		}
	}
	if only == "" {
		return list, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		if partNamed(name) == nil {
			return nil, fmt.Errorf("-only %s: there is no such part", name)
		}
		list = append(list, name)
	}
	return list, nil
}

func partNamed(name string) func(*part) {
	for _, p := range parts {
		if p.name == name {
			return p.do
		}
	}
	return nil
}

// scratch has all temporary files in a folder of their own, on a disk: where /tmp is in
// memory, a store on it would not be what it is on a server.
func scratch() (remove func(), err error) {
	dir, err := os.MkdirTemp(cmp.Or(os.Getenv("TMPDIR"), "/var/tmp"), "o2n-bench-")
	if err != nil {
		return nil, err
	}
	// The servers' own users must get through.
	if err := errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)); err != nil {
		return nil, err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-interrupted
		os.RemoveAll(dir)
		os.Exit(1) // what was started ends with its parent
	}()
	return func() { os.RemoveAll(dir) }, nil
}

// draw writes a chart beside the document, if there is one.
func (p *part) draw(name string, c chart.Chart) {
	if p.write != "" {
		p.must("chart", os.WriteFile(filepath.Join(filepath.Dir(p.write), name), c.SVG(), 0o644))
	}
}
