package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/internal/child"
	"golang.org/x/sys/unix"
)

// Hosts on which a ledger can't be kept. The child of each test prepares the
// world around itself, where nobody else sees it, and prints what a person
// would read.

// inNamespaces makes cmd run as root of a mount namespace of its own, and
// further ones; who isn't root needs a user namespace for that.
func inNamespaces(name string, further uintptr, args ...string) *exec.Cmd {
	cmd := child.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | further}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}

// said runs a child to its end and gives what it printed.
func said(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("the child could not prepare its world: %s", exit.Stderr)
	}
	must(t, err)
	return string(out)
}

func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range append(words, "error: ", "\nhint: ") {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not said in:\n%s", w, text)
		}
	}
}

func TestAFolderThatIsNotWritableIsExplained(t *testing.T) {
	dir := stateDir(t)
	text := said(t, inNamespaces("read-only", 0, dir))
	says(t, text, dir, "read-only file system", "make "+fmt.Sprintf("%q", dir)+" writable", StateVariable)
}

func TestAFolderBelowOneThatIsNotWritableIsExplained(t *testing.T) {
	dir := stateDir(t)
	below := filepath.Join(dir, "below")
	text := said(t, inNamespaces("read-only", 0, dir, below))
	says(t, text, "making state folder", below, "read-only file system", StateVariable)
}

func TestAFullDiskIsExplained(t *testing.T) {
	dir := stateDir(t)
	says(t, said(t, inNamespaces("full", 0, dir)), dir, "free some space")
}

func TestADiskThatFillsUpLosesNothing(t *testing.T) {
	dir := stateDir(t)
	text := said(t, inNamespaces("fills", 0, dir))
	says(t, text, "free some space", "\nkept: true", "\nafterwards: <nil>")
}

func TestAFileSystemWithoutLocksIsExplained(t *testing.T) {
	dir := stateDir(t)
	text := said(t, child.Command("lockless", dir))
	says(t, text, dir, "the file system has no locks", "no locks available", "ext4", StateVariable)
}

func TestNetworkFileSystemsAreKnown(t *testing.T) {
	for kind, want := range map[int64]string{
		unix.NFS_SUPER_MAGIC: "nfs", unix.CIFS_SUPER_MAGIC: "smb", -0x00acb2be: "smb", // CIFS, signed
		unix.CEPH_SUPER_MAGIC: "ceph", unix.AFS_SUPER_MAGIC: "afs",
		unix.EXT4_SUPER_MAGIC: "", unix.TMPFS_MAGIC: "", unix.OVERLAYFS_SUPER_MAGIC: "", unix.BTRFS_SUPER_MAGIC: "",
	} {
		if got := networkFileSystem(kind); got != want {
			t.Errorf("%#x: %q, want %q", kind, got, want)
		}
	}
}

func TestARunIsLiveFromAnotherPIDNamespace(t *testing.T) {
	dir := stateDir(t)
	l := open(t, dir)
	r, lock := begin(t, l, "")
	look := func() string {
		t.Helper()
		p := child.Start(t, inNamespaces("live", syscall.CLONE_NEWPID, dir, r.ID))
		return p.MustLine(t)
	}
	if got := look(); got != "1 true true" { // process 1 there, and we are not to be seen
		t.Errorf("pid, live, lock refused: %q, want 1 true true", got)
	}
	must(t, lock.Release())
	if got := look(); got != "1 false false" {
		t.Errorf("pid, live, lock refused: %q, want 1 false false", got)
	}
}

// tellRefusal prints the error of opening dir.
func tellRefusal(ctx context.Context, dir string) error {
	_, _, err := Open(ctx, dir, Options{})
	if err == nil {
		return errors.New("the ledger could be opened")
	}
	if !errors.As(err, new(*term.Error)) {
		return fmt.Errorf("the error is none for a person: %w", err)
	}
	fmt.Print(term.Explain(err))
	return nil
}

// childReadOnly binds a folder over itself, read-only, and opens it or another
// one in it.
func childReadOnly(ctx context.Context, args []string) error {
	if err := unix.Mount(args[0], args[0], "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	if err := unix.Mount("", args[0], "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("remounting: %w", err)
	}
	return tellRefusal(ctx, args[len(args)-1])
}

func mountSmall(dir string) error {
	if err := unix.Mount("none", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=0700"); err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	return nil
}

// fill leaves no byte free in dir.
func fill(dir string) (path string, err error) {
	path = filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		return "", err
	}
	return path, nil
}

// childFull opens a ledger on a disk that is full.
func childFull(ctx context.Context, args []string) error {
	if err := mountSmall(args[0]); err != nil {
		return err
	}
	if _, err := fill(args[0]); err != nil {
		return err
	}
	return tellRefusal(ctx, args[0])
}

// childFills fills the disk under an open ledger, writes until it is refused,
// and looks at what there is then and after some space was freed.
func childFills(ctx context.Context, args []string) error {
	if err := mountSmall(args[0]); err != nil {
		return err
	}
	l, _, err := Open(ctx, args[0], Options{})
	if err != nil {
		return err
	}
	r, _, err := l.Begin(ctx, NewRun{})
	if err != nil {
		return err
	}
	ballast, err := fill(args[0])
	if err != nil {
		return err
	}
	written := 0
	for err == nil {
		_, err = l.Intend(ctx, Obligation{Run: r.ID, Kind: "toy", Version: 1, Args: []byte(`{}`)})
		written++
	}
	fmt.Print(term.Explain(err))
	left, err := l.Obligations(ctx, r.ID)
	if err != nil {
		return err
	}
	fmt.Printf("kept: %v\n", len(left) == written-1)
	if err := os.Remove(ballast); err != nil {
		return err
	}
	_, err = l.Intend(ctx, Obligation{Run: r.ID, Kind: "toy", Version: 1, Args: []byte(`{}`)})
	fmt.Printf("afterwards: %v\n", err)
	return nil
}

// childLockless has the kernel answer every request for a file lock as a file
// system without locks does (fcntl(2): ENOLCK), and opens a ledger.
func childLockless(ctx context.Context, args []string) error {
	if err := refuseLocks(); err != nil {
		return err
	}
	return tellRefusal(ctx, args[0])
}

// refuseLocks loads a seccomp filter (seccomp(2)) for all threads.
func refuseLocks() error {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
		number = 0      // offsetof(struct seccomp_data, nr)
		second = 16 + 8 // the lower half of args[1] where the machine is little-endian
	)
	program := []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_FCNTL, Jf: 6},
		{Code: load, K: second},
		{Code: equal, K: unix.F_OFD_SETLK, Jt: 3},
		{Code: equal, K: unix.F_OFD_SETLKW, Jt: 2},
		{Code: equal, K: unix.F_OFD_GETLK, Jt: 1},
		{Code: equal, K: unix.F_SETLK, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOLCK)},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	runtime.LockOSThread() // the one that may no longer gain privileges loads the filter
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return loadFilter(program)
}

func loadFilter(program []unix.SockFilter) error {
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return fmt.Errorf("loading the filter: %w", errno)
	}
	return nil
}
