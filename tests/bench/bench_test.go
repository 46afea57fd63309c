package main

import (
	"errors"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/tests/bench/load"
)

func TestNumber(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 0.0512: "0.0512", 0.5: "0.500", 5.123: "5.12", 51.26: "51.3", 99.94: "99.9", 100: "100", 512.6: "513", 1234567.8: "1,234,568",
		-1234: "-1,234", math.NaN(): "?", math.Inf(1): "?",
	} {
		if got := number(f); got != want {
			t.Errorf("%v: %s; want %s", f, got, want)
		}
	}
}

func TestOctets(t *testing.T) {
	for n, want := range map[int64]string{1023: "1023 bytes", 1024: "1 KB", 4096: "4 KB", 1536: "1.50 KB", 10 << 20: "10 MB", 3 << 30: "3 GB"} {
		if got := octets(n); got != want {
			t.Errorf("%d: %s; want %s", n, got, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		list []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 100, 1, 2}, 3}} {
		if got := median(tt.list); got != tt.want {
			t.Errorf("%v: %v; want %v", tt.list, got, tt.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("of none: %v", got)
	}
}

// Ratios are of the same rounds: one bad round of the machine's changes nothing.
func TestContender(t *testing.T) {
	a := &contender{samples: []sample{{cpu: 100}, {cpu: 400}, {cpu: 120}}}
	b := &contender{samples: []sample{{cpu: 50}, {cpu: 200}, {cpu: 40}}}
	if got := a.against(b, cpu); got != 2 {
		t.Errorf("ratio %v; want 2", got)
	}
	if got := a.middle(cpu); got != 120 {
		t.Errorf("median %v; want 120", got)
	}
}

func TestNote(t *testing.T) {
	for want, c := range map[string]*contender{
		"":                            {samples: []sample{{}, {}}},
		" (up to 2.50 % turned away)": {samples: []sample{{away: 0.025}, {}, {away: 0.01}}},
	} {
		if got := c.note(); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

func TestTable(t *testing.T) {
	got := newTable("what", "µs", "ms")
	got.row("a", "1", "2")
	if want := "| what | µs | ms |\n|---|--:|--:|\n| a | 1 | 2 |\n"; got.String() != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestParseStat(t *testing.T) {
	const line = "4711 (o2n) milter) S 1 4711 4711 0 -1 4194560 2101 0 0 0 150 75 0 0 20 0 12 0 100 1 1"
	if got, err := parseStat(line); got != 2250*time.Millisecond || err != nil {
		t.Errorf("%v, %v; want 2.25s", got, err)
	}
	for _, bad := range []string{"", "1 (a) S 1", strings.Replace(line, "150", "x", 1)} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestParseBusy(t *testing.T) {
	const text = "cpu  100 1 10 5000 7 2 3 0 0 0\ncpu0 50 0 5 2500 3 1 1 0 0 0\n"
	if got, err := parseBusy(text); got != 1160*time.Millisecond || err != nil {
		t.Errorf("%v, %v; want 1.16s", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7\n", "cpu x 1 10 5000 7 2 3\n"} {
		if got, err := parseBusy(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestReadBenchmarks(t *testing.T) {
	const out = `goos: linux
goarch: amd64
pkg: o2n-milter/state/badgerdb
BenchmarkTake/process/hot-spot/16-2         	   10000	     20000 ns/op	     12000 cpu-ns/op	    4040 B/op	      22 allocs/op
BenchmarkTake/process/hot-spot/16-2         	   10000	     40000 ns/op	     14000 cpu-ns/op	    4042 B/op	      22 allocs/op
BenchmarkPhrases 	  100000	       500 ns/op
PASS
ok  	o2n-milter/state/badgerdb	2.345s
`
	list, err := readBenchmarks(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for _, b := range list {
		got = append(got, []string{b.name, b.cell("sec/op", micros), b.cell("cpu-sec/op", micros), b.cell("B/op", whole), b.cell("allocs/op", whole)})
	}
	want := [][]string{{"Take/process/hot-spot/16", "30.0", "13.0", "4,041", "22"}, {"Phrases", "0.500", "", "", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := readBenchmarks(strings.NewReader("BenchmarkTake 10 x ns/op\n")); err == nil {
		t.Error("a line without a number was read")
	}
}

func TestChosen(t *testing.T) {
	all, err := chosen("")
	if diff := cmp.Diff([]string{"go", "load", "postfix", "growth", "overload"}, all); diff != "" || err != nil {
		t.Error(diff, err)
	}
	two, err := chosen("day,load")
	if diff := cmp.Diff([]string{"day", "load"}, two); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := chosen("lod"); err == nil {
		t.Error("a part that is not there was chosen")
	}
}

func TestInTurns(t *testing.T) {
	var got []int
	for round := range 3 {
		inTurns(round, 2, func(i int) { got = append(got, i) })
	}
	if diff := cmp.Diff([]int{0, 1, 1, 0, 0, 1}, got); diff != "" {
		t.Error(diff)
	}
}

// A part that cannot go on says so, and what it started is ended, the newest first.
func TestPart(t *testing.T) {
	for name, tt := range map[string]struct {
		do            func(*part)
		want, skipped bool
	}{
		"well":    {func(*part) {}, false, false},
		"fatal":   {func(p *part) { p.Fatalf("no %s", "way") }, true, false},
		"skipped": {func(p *part) { p.Skip("SKIPPED: no such thing") }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			var ended []int
			p := &part{name: name}
			err := p.run(func(p *part) {
				p.Cleanup(func() { ended = append(ended, 1) })
				p.Cleanup(func() { ended = append(ended, 2) })
				tt.do(p)
			})
			if (err != nil) != tt.want || errors.Is(err, errSkipped) != tt.skipped || p.Failed() != (tt.want && !tt.skipped) {
				t.Errorf("error %v, failed %v", err, p.Failed())
			}
			if diff := cmp.Diff([]int{2, 1}, ended); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The no-op lets all mail through, however it is sent, and a rate is kept to.
func TestNoop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); noopServer().Serve(bufferedListener{l}) }()
	t.Cleanup(func() { l.Close(); <-served })
	for name, plan := range map[string]load.Plan{
		"closed":     {Letters: load.NewLetters(100, 4<<10)},
		"long":       {Letters: load.NewLetters(100, 200<<10)},
		"with Nagle": {Letters: load.NewLetters(100, 4<<10), Nagle: true},
		"at a rate":  {Letters: load.NewLetters(100, 1<<10), Rate: 100},
	} {
		t.Run(name, func(t *testing.T) {
			plan.Network, plan.Addr, plan.Sessions, plan.For = "tcp", l.Addr().String(), 3, 300*time.Millisecond
			got := load.Run(t.Context(), plan)
			if odd := got.Odd(load.Passed); odd != "" || len(got.Answers) == 0 {
				t.Errorf("%d answers; %s", len(got.Answers), odd)
			}
			if most := int(plan.Rate * plan.For.Seconds()); plan.Rate > 0 && len(got.Answers) > most {
				t.Errorf("%d answers; want at most %d", len(got.Answers), most)
			}
		})
	}
}
