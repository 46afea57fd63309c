package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where the MTAs have their configuration.
const (
	postfixDir  = "/etc/postfix"
	sendmailDir = "/etc/mail"
)

// CheckMTAs looks at the wiring of an MTA: "postfix", "sendmail", or "auto" for what is
// configured, both if need be. Dir is the folder of its configuration, for Sendmail
// also its .cf file; empty for the usual one.
func CheckMTAs(ctx context.Context, mta, dir string, ours []Address) []Finding {
	if mta == "auto" && dir != "" {
		mta = "sendmail"
		if exists(filepath.Join(dir, "main.cf")) {
			mta = "postfix"
		}
	}
	var list []Finding
	if mta == "postfix" || mta == "auto" && exists(filepath.Join(postfixDir, "main.cf")) {
		list = append(list, checkPostfixAt(ctx, orUsual(dir, postfixDir), ours)...)
	}
	if mta == "sendmail" || mta == "auto" && exists(filepath.Join(sendmailDir, "sendmail.cf")) {
		list = append(list, checkSendmailAt(orUsual(dir, sendmailDir), ours)...)
	}
	if len(list) == 0 {
		r := &report{area: "mta"}
		r.add(Note, "neither Postfix nor Sendmail is configured on this host", "how the MTA is wired to the filter was not looked at",
			"run this on the MTA's host, or name it: --mta postfix --config-directory DIR")
		list = r.list
	}
	return list
}

// exists is also true of what may not be looked at: that is told when it is read.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func orUsual(dir, usual string) string {
	if dir == "" {
		return usual
	}
	return dir
}

func checkPostfixAt(ctx context.Context, dir string, ours []Address) []Finding {
	p, err := loadPostfix(ctx, dir)
	if err != nil {
		return unread("postfix", dir, err)
	}
	return CheckPostfix(p, ours)
}

// unread is for a configuration that cannot be read.
func unread(area, path string, err error) []Finding {
	r := &report{area: area}
	if errors.Is(err, fs.ErrPermission) {
		r.add(Note, fmt.Sprintf("%s: %v", path, err), "how the MTA is wired to the filter is not known", "run this as root")
	} else {
		r.add(Fault, fmt.Sprintf("%s: %v", path, err), "how the MTA is wired to the filter is not known", "name its configuration: --config-directory DIR")
	}
	return r.list
}

func loadPostfix(ctx context.Context, dir string) (*Postfix, error) {
	var out [3]string
	for i, args := range [][]string{{"-x"}, {"-M"}, {"-x", "-P"}} {
		text, err := postconf(ctx, append([]string{"-c", dir}, args...)...)
		if err != nil {
			return nil, err
		}
		out[i] = text
	}
	return ReadPostfix(dir, out[0], out[1], out[2])
}

// postconf runs Postfix' own tool, which knows its defaults. Any user may.
func postconf(ctx context.Context, args ...string) (string, error) {
	name := "postconf"
	if path, err := exec.LookPath(name); err != nil {
		name = "/usr/sbin/" + name // not in every user's PATH
	} else {
		name = path
	}
	cmd := exec.CommandContext(ctx, name, args...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		if strings.Contains(talk.String(), "Permission denied") {
			err = fs.ErrPermission
		}
		return "", fmt.Errorf("postconf: %w: %s", err, strings.Join(strings.Fields(talk.String()), " "))
	}
	return out.String(), nil
}

func checkSendmailAt(dir string, ours []Address) []Finding {
	path := dir
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		path = filepath.Join(dir, "sendmail.cf")
	}
	s, err := loadSendmail(path)
	if err != nil {
		return unread("sendmail", path, err)
	}
	submit, err := loadSendmail(filepath.Join(filepath.Dir(path), "submit.cf"))
	if err != nil {
		submit = nil // which is a finding
	}
	return CheckSendmail(s, submit, ours)
}

func loadSendmail(path string) (*Sendmail, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadSendmail(path, f)
}
