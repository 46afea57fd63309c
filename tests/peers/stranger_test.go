package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	program "o2n-milter/tests/daemon"
)

// TestStranger: who is neither the socket's owner nor in its group is turned away by the
// kernel; the group is let in.
func TestStranger(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can try as another user")
	}
	d := program.New(t, []string{"unix:milter.sock"}, "[milter]\nsocket_mode = \"0660\"\nsocket_group = \"mail\"\n")
	if err := os.Chmod(d.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The folder's file says 0666 for other tests.
	main := filepath.Join(d.Dir, "o2n-milter.toml")
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(main, []byte(strings.Replace(string(text), "socket_mode = \"0666\"\n", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Start(t)
	const nobody, mail = 65534, 8 // as in Debian's base-passwd
	for group, want := range map[uint32]string{nobody: "Permission denied", mail: "connected"} {
		cmd := exec.Command("perl", "-MSocket", "-e", `socket(S, PF_UNIX, SOCK_STREAM, 0) or die; print connect(S, sockaddr_un($ARGV[0])) ? "connected" : $!`, filepath.Join(d.Dir, "milter.sock"))
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: group}}
		if got, err := cmd.CombinedOutput(); err != nil || string(got) != want {
			t.Errorf("group %d: %s, %v; want %s", group, got, err, want)
		}
	}
}
