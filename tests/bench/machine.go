package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// machine says on what the figures were taken, in one line.
func machine() string {
	list := []string{
		time.Now().UTC().Format(time.DateOnly) + ": " + processor(), fmt.Sprintf("%d cores", runtime.NumCPU()), memory(),
		"Linux " + release(), runtime.Version(), "Badger " + module("github.com/dgraph-io/badger/v4"),
	}
	if out, err := exec.Command("postconf", "-d", "-h", "mail_version").Output(); err == nil {
		list = append(list, "Postfix "+strings.TrimSpace(string(out)))
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		list = append(list, "o2n-milter "+strings.TrimSpace(string(out)))
	}
	return strings.Join(list, ", ") + "; load average before: " + loadAverage() + "."
}

// loadAverage is that of the last minute (proc(5)): what else the machine had to do.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}

// processor is its name as /proc/cpuinfo has it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, rest, found := strings.Cut(string(text), "model name")
	name, _, _ := strings.Cut(rest, "\n")
	if !found { // as on arm64
		return runtime.GOARCH
	}
	return strings.TrimLeft(name, "\t :")
}

func memory() string {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return "memory unknown"
	}
	return octets(int64(info.Totalram) * int64(info.Unit))
}

func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// module is the version of one that is built in.
func module(path string) string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == path {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}
