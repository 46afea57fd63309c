// Command firstrun is "make run": it starts the daemon with the shipped example
// configuration in a local folder, shows it some mail as an MTA would, prints
// each answer, says what to try next, and lets the daemon serve until Ctrl-C.
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"o2n-milter/demo"
)

//go:embed conf.toml
var conf []byte

// The example configuration listens here.
const (
	milterAddr = "127.0.0.1:8895"
	webAddr    = "127.0.0.1:8896"
)

func main() {
	daemon := flag.String("daemon", "bin/o2n-milter", "the program `FILE`")
	example := flag.String("example", "packaging/o2n-milter.toml", "the configuration `FILE` to copy")
	dir := flag.String("dir", "run", "the `FOLDER` to work in")
	once := flag.Bool("once", false, "stop after the samples")
	flag.Parse()
	if err := run(*daemon, *example, *dir, *once); err != nil {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(1)
	}
}

func run(program, example, dir string, once bool) error {
	config, err := prepare(example, dir)
	if err != nil {
		return err
	}
	for _, addr := range []string{milterAddr, webAddr} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return fmt.Errorf("another program listens on %s; stop it first", addr)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	daemon, err := demo.StartDaemon(program, config, log)
	if err != nil {
		return err
	}
	defer daemon.Stop()
	if err := daemon.Await(ctx, webAddr); err != nil {
		return fmt.Errorf("%w; see %s", err, log.Name())
	}
	if err := show(); err != nil {
		return err
	}
	if once {
		return nil
	}
	next(config, log.Name(), program)
	select {
	case <-ctx.Done():
		fmt.Println("\nstopping")
		return nil
	case <-daemon.Ended():
		return fmt.Errorf("%w; see %s", daemon.Err(), log.Name())
	}
}

// prepare makes a fresh folder: the example as it is shipped, and what a first
// run adds to it.
func prepare(example, dir string) (string, error) {
	text, err := os.ReadFile(example)
	if err != nil {
		return "", err
	}
	// Windows of an earlier run would answer for this one.
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		return "", err
	}
	main := filepath.Join(dir, "o2n-milter.toml")
	return main, errors.Join(
		os.WriteFile(main, text, 0o644),
		os.WriteFile(filepath.Join(dir, "link.key"), []byte(rand.Text()+rand.Text()), 0o600),
		os.WriteFile(filepath.Join(dir, "conf.d", "firstrun.toml"), conf, 0o644))
}

// show sends every sample and prints the answers.
func show() error {
	fmt.Printf("o2n-milter runs with the example configuration on %s; what an MTA is told:\n\n", milterAddr)
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "MAIL\tSENT BY\tANSWER")
	for _, s := range samples {
		answer, err := send(milterAddr, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		if !strings.Contains(answer, s.want) {
			return fmt.Errorf("%s: answered %s; want %s", s.what, answer, s.want)
		}
		who := s.login
		switch {
		case s.local:
			who = "sendmail(1), " + s.sender
		case who == "":
			who = "no login"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.what, who, shorten(answer))
	}
	return tw.Flush()
}

// shorten keeps the codes and the end, which names the rule and the decision.
func shorten(answer string) string {
	i := strings.LastIndex(answer, " [")
	if len(answer) <= 70 || i < 0 {
		return answer
	}
	return answer[:max(10, 66-(len(answer)-i))] + "..." + answer[i:]
}

func next(config, log, program string) {
	fmt.Printf(`
Now it serves on, until Ctrl-C. To try:

  %[1]s --config %[2]s status
  %[1]s --config %[2]s block list                     who is blocked by now
  %[1]s --config %[2]s link alice@client-a.example    the page that alice sees
  %[1]s --config %[2]s console                        the operator's pages
  %[1]s --config %[2]s check --login alice@client-a.example MAIL.eml
  curl -s http://%[3]s/metrics | grep ^o2n_milter
  tail -f %[4]s

For mail of your own point an MTA at it, Postfix by:

  postconf -e 'smtpd_milters = inet:%[5]s' 'milter_default_action = tempfail'
`, program, config, webAddr, log, milterAddr)
}
