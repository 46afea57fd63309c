package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"

	"o2n-milter/config"
	"o2n-milter/hold/agent"
	"o2n-milter/hold/mtaqueue"
	"o2n-milter/milter"
)

func (a *app) holdAgentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hold-agent",
		Short: "Run the privileged helper that works the MTA's queue",
		Long: "Run the helper that lists, holds, releases, deletes and finds mail in the MTA's queue for the daemon.\n" +
			"The MTA's tools need root, so it runs as root; it does nothing else. It ends with SIGTERM or SIGINT.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd)
			if err != nil {
				return err
			}
			for _, path := range agentTrusts(cfg) {
				if err := onlyRoots(path); err != nil {
					return &exitError{exitConfig, err}
				}
			}
			out := openLog(a.err, cfg.Log)
			defer out.close()
			return holdAgent(cmd.Context(), cfg.Hold, out.Logger)
		},
	}
}

func holdAgent(ctx context.Context, cfg config.Hold, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if os.Geteuid() != 0 {
		return exit(exitNo, "user %d: the MTA's tools want root", os.Geteuid())
	}
	gid, err := agentGroup(cfg.AgentGroup)
	if err != nil {
		return exit(exitConfig, "hold.agent_group: %w", err)
	}
	queue, err := mtaqueue.Open(ctx, cfg.MTA, cfg.ConfigDirectory)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	ln, err := openAgent(cfg.Agent, gid)
	if err != nil {
		return err
	}
	host := queue.Host()
	log.Info("ready", "for", "hold agent", "version", version, "on", ln.Addr().String(), "mta", host.MTA, "host", host.Name, "group", gid)
	server := &agent.Server{Queue: queue, Group: gid, Log: log}
	if err := server.Serve(ctx, ln); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// agentTrusts are the files and folders by which the agent is told what to do as root:
// with another configuration the MTA's tools run other programs.
func agentTrusts(cfg *config.Config) []string {
	list := append(slices.Clone(cfg.Files), filepath.Join(filepath.Dir(cfg.File), "conf.d"))
	if dir := cfg.Hold.ConfigDirectory; dir != "" {
		list = append(list, dir, filepath.Join(dir, "main.cf"))
	}
	return slices.DeleteFunc(list, func(path string) bool {
		_, err := os.Lstat(path)
		return err != nil || path == cfg.Accounts.File // which is nothing to the agent
	})
}

// onlyRoots wants a file that nobody but root can change, nor put another in its place.
func onlyRoots(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, at := range []string{path, target} {
		for ; ; at = filepath.Dir(at) {
			info, err := os.Lstat(at)
			if err != nil {
				return err
			}
			owner, mode := info.Sys().(*syscall.Stat_t).Uid, info.Mode()
			open := mode&0o022 != 0 && mode&(fs.ModeSymlink|fs.ModeSticky) == 0
			if owner != 0 || open {
				return fmt.Errorf("%s: user %d owns it, mode %04o; the agent wants what only root can change", at, owner, mode.Perm())
			}
			if at == "/" {
				break
			}
		}
	}
	return nil
}

// daemonGroup is the group of the daemon, as the package makes it.
const daemonGroup = "o2n-milter"

// agentGroup is the number of the group that may ask: the configured one, else
// daemonGroup, else -1 for none.
func agentGroup(name string) (int, error) {
	if name == "" {
		g, err := user.LookupGroup(daemonGroup)
		if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
			return -1, nil
		}
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(g.Gid)
	}
	if gid, err := strconv.Atoi(name); err == nil {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// openAgent takes the socket that systemd hands over (FileDescriptorName=hold),
// else opens one for root and the group.
func openAgent(path string, gid int) (*net.UnixListener, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("sockets of systemd: %w", err)
	}
	if len(named) > 0 {
		if unix, ok := only(named["hold"]); ok && len(named) == 1 {
			return unix, nil
		}
		return nil, errors.New("sockets of systemd: want one unix socket, with FileDescriptorName=hold")
	}
	mode, group := fs.FileMode(0o600), ""
	if gid >= 0 {
		mode, group = 0o660, strconv.Itoa(gid)
	}
	ln, err := milter.Listen("unix:"+path, mode, group)
	if err != nil {
		return nil, fmt.Errorf("hold.agent: %w", err)
	}
	return ln.(*net.UnixListener), nil
}

// only is the unix socket of a list that has one socket.
func only(list []net.Listener) (*net.UnixListener, bool) {
	if len(list) != 1 {
		return nil, false
	}
	unix, ok := list[0].(*net.UnixListener)
	return unix, ok
}
