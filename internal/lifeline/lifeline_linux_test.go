package lifeline

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/term"
	"golang.org/x/sys/unix"
)

// childVariable makes the test binary act as one of the processes of a test.
const childVariable = "LIFELINE_TEST_CHILD"

func TestMain(m *testing.M) {
	name := os.Getenv(childVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	child := map[string]func(args []string) error{
		"starter": starter, "watcher": watcher, "late": late, "detached": detached,
	}[name]
	if err := child(os.Args[1:]); err != nil {
		fmt.Fprint(os.Stderr, term.Explain(err))
		os.Exit(1)
	}
	os.Exit(0)
}

func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// starter starts a process with a spec and a pipe that it keeps the other end
// of, and lives until it is killed. The descriptors of the test go to both.
func starter(args []string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = os.Stdin, os.Stdout, []*os.File{r}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.Close()
	defer w.Close()
	return cmd.Wait()
}

// watcher tells that it watches, and then that its starter is dead.
func watcher(args []string) error {
	dead, err := Watch(context.Background(), args[0])
	if err != nil {
		return err
	}
	fmt.Println("watching")
	<-dead
	fmt.Println("dead")
	return nil
}

// late begins to watch the starter that it was told of only when its stdin ends.
func late([]string) error {
	spec := fmt.Sprintf("parent:%d", os.Getppid())
	fmt.Println("waiting")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return watcher([]string{spec})
}

// detached lets go of its stdout when its stdin ends, writes to it, and lives
// on until descriptor 3 ends; it tells by making the file.
func detached(args []string) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	fmt.Println("attached")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := Detach(os.Stdout, os.Stderr); err != nil {
		return err
	}
	if _, err := fmt.Println("into nothing"); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.NewFile(3, "end")); err != nil {
		return err
	}
	return os.WriteFile(args[0], nil, 0o600)
}

// started starts cmd and gives its stdin and stdout.
func started(t *testing.T, cmd *exec.Cmd) (io.Closer, *bufio.Reader) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return stdin, bufio.NewReader(stdout)
}

func says(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	line, err := r.ReadString('\n')
	if strings.TrimSpace(line) != want {
		t.Fatalf("it said %q, %v; want %q", line, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheKilledStarterIsNoticed(t *testing.T) {
	for _, spec := range []string{"fd:3", "parent"} {
		t.Run(spec, func(t *testing.T) {
			cmd := command("starter", "watcher", spec)
			_, out := started(t, cmd)
			says(t, out, "watching")
			must(t, cmd.Process.Kill())
			says(t, out, "dead")
		})
	}
}

func TestAStarterThatDiedBeforeIsNoticed(t *testing.T) {
	cmd := command("starter", "late")
	stdin, out := started(t, cmd)
	says(t, out, "waiting")
	must(t, cmd.Process.Kill())
	_, err := cmd.Process.Wait()
	must(t, err)
	must(t, stdin.Close())
	says(t, out, "watching")
	says(t, out, "dead")
}

func TestTheStarterThatIsNamedAndLivesIsWatched(t *testing.T) {
	cmd := command("starter", "late")
	stdin, out := started(t, cmd)
	says(t, out, "waiting")
	must(t, stdin.Close())
	says(t, out, "watching")
	must(t, cmd.Process.Kill())
	says(t, out, "dead")
}

func TestAParentOutsideThePIDNamespaceIsRefused(t *testing.T) {
	cmd := command("watcher", "parent")
	cmd.Stderr = nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "outside this pid namespace") || !strings.Contains(string(out), "\nhint: ") {
		t.Errorf("%v: %s", err, out)
	}
}

// ends gives both ends of a pipe or a socket pair, as descriptors.
func ends(t *testing.T, kind string) (watched int, kept *os.File) {
	t.Helper()
	var fds [2]int
	if kind == "pipe" {
		must(t, unix.Pipe(fds[:]))
	} else {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(t, err)
		fds = pair
	}
	kept = os.NewFile(uintptr(fds[1]), "kept")
	t.Cleanup(func() { kept.Close() })
	return fds[0], kept
}

func TestTheEndOfADescriptorIsNoticedAndWhatIsSentIsNot(t *testing.T) {
	for _, kind := range []string{"pipe", "socket pair"} {
		t.Run(kind, func(t *testing.T) {
			fd, kept := ends(t, kind)
			dead, err := Watch(t.Context(), fmt.Sprintf("fd:%d", fd))
			must(t, err)
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("children inherit it: flags %#x, %v", flags, err)
			}
			// More than a pipe holds: this ends only if it is read.
			if _, err := kept.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			select {
			case <-dead:
				t.Error("dead, though the other end is open")
			default:
			}
			must(t, kept.Close())
			<-dead
		})
	}
}

func TestTheEndOfTheContextEndsTheWatch(t *testing.T) {
	fd, kept := ends(t, "pipe")
	ctx, cancel := context.WithCancel(t.Context())
	dead, err := Watch(ctx, fmt.Sprintf("fd:%d", fd))
	must(t, err)
	cancel()
	// Once our end is closed, writing to the other one fails.
	for err == nil {
		_, err = kept.Write(make([]byte, 1<<16))
	}
	select {
	case <-dead:
		t.Error("the end of the context counts as a death")
	case <-time.After(20 * time.Millisecond):
	}
}

func TestNoneIsNeverDead(t *testing.T) {
	for _, spec := range []string{"", None} {
		dead, err := Watch(t.Context(), spec)
		must(t, err)
		select {
		case <-dead:
			t.Errorf("%q is dead", spec)
		default:
		}
	}
}

func TestWhatIsNoLifelineIsRefused(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	_, kept := ends(t, "pipe")
	for spec, want := range map[string]string{
		"pipe":                               "none of none, fd:N",
		"fd:":                                "no descriptor",
		"fd:-1":                              "no descriptor",
		"fd:x":                               "no descriptor",
		"fd:999999":                          "bad file descriptor",
		"parent:0":                           "no process id",
		"parent:x":                           "no process id",
		fmt.Sprintf("fd:%d", file.Fd()):      "not a pipe or socket",
		fmt.Sprintf("fd:%d", int(kept.Fd())): "the writing end",
	} {
		_, err := Watch(t.Context(), spec)
		if err == nil {
			t.Errorf("%q was taken", spec)
			continue
		}
		if text := term.Explain(err); !strings.Contains(text, want) || !strings.Contains(text, "\nhint: ") {
			t.Errorf("%q: %q is not said in %s", spec, want, text)
		}
	}
}

func TestDetachingEndsThePipeAndSurvivesIt(t *testing.T) {
	end, keep, err := os.Pipe()
	must(t, err)
	made := filepath.Join(t.TempDir(), "made")
	cmd := command("detached", made)
	cmd.Stderr = nil // else the test's own would be kept open
	cmd.ExtraFiles = []*os.File{end}
	stdin, out := started(t, cmd)
	end.Close()
	says(t, out, "attached")
	must(t, stdin.Close())
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("after detaching it said %q, %v", rest, err)
	}
	must(t, keep.Close()) // it lived until now
	must(t, cmd.Wait())
	if _, err := os.Stat(made); err != nil {
		t.Errorf("it did not get to its end: %v", err)
	}
}
