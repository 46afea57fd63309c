package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/config"
	"o2n-milter/web"
)

// client speaks to the daemon's admin API over its unix socket.
type client struct {
	socket string
	http   *http.Client
}

// client connects with the socket of the configuration.
func (a *app) client(cmd *cobra.Command) (*client, error) {
	admin, faults, known := config.LoadAdmin(a.configFile, cmd.Flags().Changed("config"))
	if !known {
		return nil, a.faulty(faults)
	}
	if len(faults) > 0 {
		// The daemon runs on what it read before; a half-finished edit must not
		// keep anybody from blocking a sender.
		fmt.Fprintf(a.err, "o2n-milter: the configuration is faulty (%d), see o2n-milter configtest; going on with admin.socket\n", len(faults))
	}
	return newClient(admin.Socket), nil
}

func newClient(socket string) *client {
	c := &client{socket: socket}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	}
	c.http = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dial}}
	return c
}

// ask gets what the daemon has at path.
func (a *app) ask(cmd *cobra.Command, path string, out any) error { return a.tell(cmd, path, nil, out) }

// tell has the daemon do what in says, and gets what came of it.
func (a *app) tell(cmd *cobra.Command, path string, in, out any) error {
	cl, err := a.client(cmd)
	if err != nil {
		return err
	}
	return cl.call(path, in, out)
}

// listPath is the path of a list of what is in force or open, or of all.
func listPath(path string, all bool) string {
	if all {
		return path + "?all=1"
	}
	return path
}

// call sends in (nil: GET) and decodes the answer into out.
func (c *client) call(path string, in, out any) error {
	method, body := http.MethodGet, io.Reader(nil)
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, "http://admin"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return refusal(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return exit(exitUnavailable, "daemon at %s: answer: %w", c.socket, err)
	}
	return nil
}

// unreachable says why there is no daemon on the other end.
func (c *client) unreachable(err error) error {
	slow, isNet := errors.AsType[net.Error](err)
	switch {
	case isNet && slow.Timeout():
		return exit(exitUnavailable, "daemon at %s: no answer in %s: it hangs or has too much to do; look at its log", c.socket, c.http.Timeout.Round(100*time.Millisecond))
	case errors.Is(err, os.ErrPermission):
		return exit(exitUnavailable, "daemon at %s: %w; want root or a member of the socket's group", c.socket, os.ErrPermission)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return exit(exitUnavailable, "daemon at %s: nobody answers; is o2n-milter serve running with this configuration?", c.socket)
	}
	return exit(exitUnavailable, "daemon at %s: %w", c.socket, err)
}

// refusal turns an error answer into an exit code.
func refusal(resp *http.Response) error {
	var f web.Fault
	if json.NewDecoder(resp.Body).Decode(&f) != nil || f.Error == "" {
		f.Error = "daemon answered " + resp.Status
	}
	switch resp.StatusCode {
	case http.StatusBadRequest:
		return exit(exitUsage, "%s", f.Error)
	case http.StatusNotFound, http.StatusConflict:
		return exit(exitNo, "%s", f.Error)
	}
	return exit(exitUnavailable, "%s", fmt.Sprintf("daemon: %s", f.Error))
}
