package mtaqueue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"o2n-milter/hold/wire"
)

// sendmail is an instance of Sendmail 8.12 or later: quarantined mail has an hf file
// where other mail has a qf file. The queue files are read, because mailq(1) reads
// them all for any question and prints for people.
type sendmail struct {
	tool     tool
	cf       cf
	name     string        // $j
	senders  chan struct{} // has an element for each delivery under way
	sendWait time.Duration // sendWait, but in tests
}

var _ MTA = (*sendmail)(nil)

const (
	// maxSenders bounds the deliveries that Release has begun.
	maxSenders = 20
	// sendWait is how long Release waits for them, so that the answer comes when a
	// quick delivery is over. A slow one goes on.
	sendWait = 5 * time.Second
	// holdReason is what Sendmail keeps with mail that Hold quarantines.
	holdReason = "held by o2n-milter"
)

// whatJIs is a line of "sendmail -d0.4".
var whatJIs = regexp.MustCompile(`(?m)^ *\(canonical domain name\) \$j = (\S+)$`)

func openSendmail(ctx context.Context, in folders, config string) (*sendmail, error) {
	path, err := in.find("sendmail")
	if err != nil {
		return nil, err
	}
	s := &sendmail{cf: cf{path: sendmailConfig}, tool: tool{path, []string{"-Am"}},
		senders: make(chan struct{}, maxSenders), sendWait: sendWait}
	if config != "" {
		s.cf.path, s.tool.first = config, []string{"-C", config}
	}
	// Other MTAs have a program of this name; they do not know -d.
	out, err := s.tool.run(ctx, "", "-d0.4", "-bt")
	if err != nil {
		return nil, fmt.Errorf("%s, which should be Sendmail's: %w", path, err)
	}
	j := whatJIs.FindSubmatch(out)
	if j == nil {
		return nil, fmt.Errorf("%s -d0.4 -bt does not say what $j is; want Sendmail's", path)
	}
	s.name = string(j[1])
	_, err = s.cf.folders()
	return s, err
}

func (s *sendmail) Host() wire.Host { return wire.Host{MTA: wire.Sendmail, Name: s.name} }

func (s *sendmail) ValidID(id string) bool { return wire.ValidID(wire.Sendmail, id) }

// Find looks at the file names. Sendmail makes the new file of a message that it
// moves before it removes the old one, so the second look finds what the first
// has missed.
func (s *sendmail) Find(id string) (wire.Queue, error) {
	dirs, err := s.cf.folders()
	if err != nil {
		return wire.QueueNone, err
	}
	for range 2 {
		if path, err := lookup(dirs, "hf"+id); path != "" || err != nil {
			return wire.QueueHold, err
		}
		path, err := lookup(dirs, "qf"+id)
		if err != nil {
			return wire.QueueNone, err
		}
		if path != "" {
			return stateOf(path)
		}
	}
	return wire.QueueNone, nil
}

// lookup gives the path of a queue file, empty when there is none.
func lookup(dirs []folder, name string) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir.control, name)
		_, err := os.Lstat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}

// stateOf tells mail under delivery: a process has locked its qf file.
func stateOf(path string) (wire.Queue, error) {
	locked, err := lockedFiles()
	if err != nil {
		return wire.QueueNone, err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) { // sent a moment ago
		return wire.QueueNone, nil
	}
	if err != nil {
		return wire.QueueNone, err
	}
	if locked[inode(info)] {
		return wire.QueueActive, nil
	}
	return wire.QueueDeferred, nil
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func (s *sendmail) Hold(ctx context.Context, ids []string) error {
	_, err := s.tool.run(ctx, "", choose(ids, "-Q"+holdReason)...)
	return err
}

// choose names the messages. Sendmail takes an id for a part of one; a whole one of
// 14 or 15 letters is a part of no other but with a clock that stands still.
func choose(ids []string, more ...string) []string {
	args := make([]string, 0, len(ids)+len(more))
	for _, id := range ids {
		args = append(args, "-qI"+id)
	}
	return append(args, more...)
}

// Release takes mail out of quarantine, and sends it by a process of its own, as
// "sendmail -q" always does: no daemon is asked.
func (s *sendmail) Release(ctx context.Context, ids []string) error {
	// The file names decide, so what is not in quarantine is not touched.
	if _, err := s.tool.run(ctx, "", append([]string{"-qQ"}, choose(ids, "-Q")...)...); err != nil {
		return err
	}
	return s.send(ctx, ids)
}

// send gives each message a process, so that none waits for another's slow server.
func (s *sendmail) send(ctx context.Context, ids []string) error {
	wait, cancel := context.WithTimeout(ctx, s.sendWait)
	defer cancel()
	ended := make(chan error, len(ids))
	for _, id := range ids {
		select {
		case s.senders <- struct{}{}:
		case <-wait.Done():
			return fmt.Errorf("off hold, but not sent: %d deliveries are under way already", cap(s.senders))
		}
		if err := s.begin(ctx, id, ended); err != nil {
			<-s.senders
			return fmt.Errorf("off hold, but not sent: %w", err)
		}
	}
	for range ids {
		select {
		case err := <-ended:
			// Sendmail's codes tell what the last recipient's server said, too. What
			// became of the mail is in the queue.
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				return fmt.Errorf("off hold, but not sent: %w", err)
			}
		case <-wait.Done():
			return nil
		}
	}
	return nil
}

// begin begins a delivery. It ends by itself, also when we end: one that is cut off
// may happen twice.
func (s *sendmail) begin(ctx context.Context, id string, ended chan<- error) error {
	cmd := s.tool.command(context.WithoutCancel(ctx), "-qf", "-qI"+id)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		err := cmd.Wait()
		<-s.senders
		ended <- err
	}()
	return nil
}

// Delete removes the files: Sendmail has no verb for it.
func (s *sendmail) Delete(_ context.Context, ids []string) error {
	dirs, err := s.cf.folders()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if err := remove(dirs, id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// remove removes a message's files, the control file first: what is left when we
// are killed in between is a body that no message knows.
func remove(dirs []folder, id string) error {
	for _, prefix := range []string{"hf", "qf"} {
		path, err := lookup(dirs, prefix+id)
		if err != nil {
			return err
		}
		if path == "" {
			continue
		}
		if err := removeLocked(path); err != nil {
			return err
		}
	}
	var errs []error
	for _, dir := range dirs {
		for _, path := range []string{filepath.Join(dir.data, "df"+id), filepath.Join(dir.transcript, "xf"+id)} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// removeLocked removes a control file that no process has in hand, under the lock
// that Sendmail takes (flock(2) on Linux).
func removeLocked(path string) error {
	file, err := openQueueFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s: another process has it in hand", filepath.Base(path))
	}
	if err != nil {
		return fmt.Errorf("%s: lock: %w", filepath.Base(path), err)
	}
	// Sendmail may have put another file in its place before we had the lock.
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !os.SameFile(mine, now) {
		err = fmt.Errorf("%s: another process has just written it", filepath.Base(path))
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// openQueueFile follows no link: the queue may belong to another user than root.
func openQueueFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: is no plain file", filepath.Base(path))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// lockedFiles are the inodes of the files that a process has locked. To try the
// lock would make a queue run pass over the message.
func lockedFiles() (map[uint64]bool, error) {
	raw, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil, err
	}
	return readLocks(string(raw)), nil
}

// readLocks reads proc_locks(5): "1: FLOCK ADVISORY WRITE 311 fe:00:3367902 0 EOF".
// Device numbers are left out: not every filesystem gives the same ones to stat(2).
func readLocks(text string) map[uint64]bool {
	locked := map[uint64]bool{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] == "->" { // waits for a lock
			continue
		}
		var major, minor, node uint64
		if n, _ := fmt.Sscanf(f[5], "%x:%x:%d", &major, &minor, &node); n == 3 {
			locked[node] = true
		}
	}
	return locked
}
