package mta

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

//go:embed files/rspamd.conf
var rspamdConf string

const rspamdProgram = "/usr/bin/rspamd"

// Rspamd is a running content engine from a scratch folder, with its own rules and
// without any that would ask the network.
type Rspamd struct {
	Normal     string // URL of the worker that asks for no password
	Socket     string // the same worker's
	Controller string // wants Password

	dir  string
	proc *Proc
}

// NewRspamd starts rspamd. It ends with the test.
func NewRspamd(t testing.TB) *Rspamd {
	t.Helper()
	need(t, rspamdProgram)
	r := &Rspamd{dir: scratch(t, "rspamd")}
	normal, controller := FreePort(t), FreePort(t)
	r.Normal, r.Controller = "http://"+loopback(normal), "http://"+loopback(controller)
	r.Socket = "unix:" + filepath.Join(r.dir, "normal.sock")
	write(t, filepath.Join(r.dir, "suffixes"), "com\nexample\nnet\norg\n")
	conf := filepath.Join(r.dir, "rspamd.conf")
	write(t, conf, strings.NewReplacer("@DIR@", r.dir, "@NORMAL@", strconv.Itoa(normal), "@CONTROLLER@", strconv.Itoa(controller),
		"@PASSWORD@", Password).Replace(rspamdConf))
	args := []string{"-f", "-c", conf}
	for _, folder := range []string{"DBDIR", "RUNDIR", "LOGDIR", "LOCAL_CONFDIR"} {
		args = append(args, "--var", folder+"="+r.dir)
	}
	if os.Geteuid() == 0 {
		args = append(args, "-i") // stay root: the folder is
	}
	r.proc = Start(t, exec.Command(rspamdProgram, args...))
	Poll(t, "rspamd listens", func() bool {
		if !r.proc.Running() {
			t.Fatalf("rspamd ended: %v\n%s", r.proc.Err(), r.Log())
		}
		return listens(t, normal) && listens(t, controller)
	})
	return r
}

// Stop ends it.
func (r *Rspamd) Stop() { r.proc.Stop() }

// Log is what it has said so far.
func (r *Rspamd) Log() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
