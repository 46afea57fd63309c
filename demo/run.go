package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"o2n-milter/hold/agent"
)

// Options are what a demo is run with.
type Options struct {
	Program string // o2n-milter
	Dir     string // a folder of its own, empty; whoever made it removes it
	Out     io.Writer
	JSON    bool
	Once    bool // end with the day
	Hurry   bool // play it without pauses
	// Ask puts a question (in nil: GET) to the daemon whose admin socket this is.
	Ask func(socket, path string, in, out any) error
}

// The ports that the documents speak of. Any other will do when one is taken.
const (
	milterPort = "8895"
	webPort    = "8896"
	smtpPort   = "2525"
)

// longestDir leaves room for the names of sockets (unix(7): 107 bytes and a NUL).
const longestDir = 107 - len("/admin.sock")

// mtaName is the MTA's own name, of the door and of what it tells the filter.
const mtaName = "mx.provider.example"

// demo is one that runs.
type demo struct {
	Options
	place
	daemon  *Daemon
	door    *Door
	pipes   *pipes
	journal *journal
	log     *os.File
	failed  chan error // of what serves beside the daemon
}

// place is where everything is.
type place struct {
	Milter, Web, SMTP string // host:port
	Config            string
}

// Run runs the demo until ctx ends, or with Once until the day is over. When it
// returns nothing of it runs any more.
func Run(ctx context.Context, opts Options) error {
	if n := len(opts.Dir); n > longestDir {
		return fmt.Errorf("%s: %d bytes; want at most %d, as its sockets' paths end at 107 (set TMPDIR)", opts.Dir, n, longestDir)
	}
	d := &demo{Options: opts, pipes: newPipes(), failed: make(chan error, 3)}
	d.journal = &journal{out: opts.Out, json: opts.JSON, now: time.Now, blocks: d.blocks, told: map[string]bool{}}
	var err error
	if d.log, err = os.OpenFile(d.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	defer d.log.Close()
	smtp, err := listen(smtpPort)
	if err != nil {
		return err
	}
	defer smtp.Close()
	d.SMTP = smtp.Addr().String()
	if err := d.write(); err != nil {
		return err
	}
	stop, err := d.open(smtp)
	if err != nil {
		return err
	}
	defer stop()
	if d.daemon, err = StartDaemon(opts.Program, d.Config, d.log); err != nil {
		return err
	}
	defer d.daemon.Stop()
	if err := d.daemon.Await(ctx, d.Web); err != nil {
		return d.reason(ctx, err)
	}
	return d.reason(ctx, d.show(ctx))
}

func (d *demo) path(name string) string { return filepath.Join(d.Dir, name) }

// reason is why the demo ended, with the daemon's last words, as its log goes with
// the folder. The end of ctx is how it is meant to end, but in mid-day with Once.
func (d *demo) reason(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil && !d.Once:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	text, _ := os.ReadFile(d.log.Name()) // it is for the eye only
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%w; the daemon's last words:\n%s", err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
}

// listen listens on loopback, on a port if it is free, else on any.
func listen(port string) (net.Listener, error) {
	if ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
		return ln, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// free is an address that is free now, for the daemon to listen on.
func free(port string) (string, error) {
	ln, err := listen(port)
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

//go:embed conf.toml
var confText string

var conf = template.Must(template.New("conf.toml").Parse(confText))

// write makes the daemon's files, and mail to try.
func (d *demo) write() error {
	milter, web := milterPort, webPort
	if !strings.HasSuffix(d.SMTP, ":"+smtpPort) {
		// Another demo has the ports that the documents speak of, or is about to. Of
		// these nobody gets one that somebody else got just now.
		milter, web = "0", "0"
	}
	var err1, err2 error
	d.Milter, err1 = free(milter)
	d.Web, err2 = free(web)
	d.Config = d.path("o2n-milter.toml")
	var text bytes.Buffer
	err3 := conf.Execute(&text, d.place)
	return errors.Join(err1, err2, err3,
		os.WriteFile(d.Config, text.Bytes(), 0o600),
		os.WriteFile(d.path("accounts.toml"), []byte(accountsTOML()), 0o600),
		os.WriteFile(d.path("link.key"), []byte(rand.Text()+rand.Text()), 0o600), // 52 bytes
		os.WriteFile(d.path(passing), crlf(mail("You <"+you+">", friend, "Hello", "Hello Jo,\n\nsee you on Monday.\n")), 0o600),
		os.WriteFile(d.path(refused), crlf(mail(bank, friend, "Please verify", "Please verify your card.\n")), 0o600))
}

// open opens the agent of held mail and the door, until the function that it
// returns is called.
func (d *demo) open(smtp net.Listener) (stop func(), err error) {
	queue := newQueue(mtaName, d.journal.left)
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.path("hold.sock"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	// The daemon has our own group.
	server := &agent.Server{Queue: queue, Group: os.Getgid(), Log: slog.New(slog.NewTextHandler(d.log, nil))}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.fail(server.Serve(ctx, socket))
	}()
	d.door = newDoor(d.Milter, queue, d.log, d.journal.mail)
	go func() { d.fail(d.door.Serve(smtp)) }()
	go func() { d.fail(d.door.Serve(d.pipes)) }()
	return func() {
		_ = d.door.Close() // its listeners may be closed
		// A Serve that begins only now does not know of Close.
		_ = errors.Join(d.pipes.Close(), smtp.Close())
		cancel()
		<-ended
	}, nil
}

func (d *demo) fail(err error) {
	if err != nil {
		d.failed <- err
	}
}

// show tells where everything is, plays the day and serves on.
func (d *demo) show(ctx context.Context) error {
	if err := d.welcome(); err != nil {
		return err
	}
	if err := d.play(ctx, day()); err != nil {
		return err
	}
	if err := d.journal.printSummary(); err != nil || d.Once {
		return err
	}
	d.next()
	return d.wait(ctx, nil)
}

// wait waits for until, for ever if it is nil. It is an error when ctx or something
// that serves ends before.
func (d *demo) wait(ctx context.Context, until <-chan time.Time) error {
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-d.failed:
		return err
	case <-d.daemon.Ended():
		return d.daemon.Err()
	}
}

// blocks are those in force.
func (d *demo) blocks() ([]block, error) {
	var list struct{ Blocks []block }
	err := d.Ask(d.path("admin.sock"), "/v1/blocks", nil, &list)
	return list.Blocks, err
}
