package doors

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/term"
)

// harden confines the whole process, for the work of git where that is given, and tells
// what holds, as read back. A measure that every kernel in use has, and that doesn't hold, is an error.
func harden(git *gitRoom) ([]Measure, error) {
	if err := closeMemory(); err != nil {
		return nil, err
	}
	threads, err := openThreads() // while /proc can be read
	if err != nil {
		return nil, err
	}
	defer threads.close()
	files, calls := restrictFiles, restrictCalls
	if git != nil {
		files, calls = git.restrictFiles, restrictGitCalls
	}
	landlock := files()
	if err := calls(); err != nil {
		return nil, term.Errorf(term.StageLaunch, "", "restricting system calls: %w", err).
			WithHint("the kernel needs CONFIG_SECCOMP_FILTER, and the container that bot-bottle runs in, if any, has to allow seccomp(2)")
	}
	measures, err := threads.measure()
	if err != nil {
		return nil, err
	}
	measures = append(measures, Measure{Name: measureNoDump, Held: true, Detail: "no core file, no reading of memory by the same user"}, landlock)
	return measures, required(measures)
}

// required tells which measure doesn't hold without which no secret is taken: all
// but the user, who is the supervisor's choice, and Landlock, which kernels may
// lack.
func required(measures []Measure) error {
	for _, m := range measures {
		if !m.Held && m.Name != measureUser && m.Name != measureLandlock {
			return fmt.Errorf("reading back %s: %s", m.Name, m.Detail)
		}
	}
	return nil
}

// closeMemory keeps other processes of the same user from reading our memory,
// and secrets out of a core file (prctl(2), PR_SET_DUMPABLE).
func closeMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("making ourselves unreadable to others: %w", err)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err == nil && dumpable != 0 {
		err = fmt.Errorf("it reads back as %d", dumpable)
	}
	if err != nil {
		return fmt.Errorf("making ourselves unreadable to others: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core files: %w", err)
	}
	return nil
}

// The names of the measures.
const (
	measureUser         = "user"
	measureCapabilities = "capabilities"
	measureNoNewPrivs   = "no-new-privs"
	measureSeccomp      = "seccomp"
	measureNoDump       = "no-dump"
	measureLandlock     = "landlock"
)

// threads are the status files of the process's threads. They can be read while
// they are open, whatever Landlock says.
type threads []*os.File

func openThreads() (threads, error) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, fmt.Errorf("listing our threads: %w", err)
	}
	var all threads
	for _, e := range entries {
		f, err := os.Open("/proc/self/task/" + e.Name() + "/status")
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			all.close()
			return nil, fmt.Errorf("opening a thread's status: %w", err)
		}
		all = append(all, f)
	}
	return all, nil
}

func (t threads) close() {
	for _, f := range t {
		f.Close()
	}
}

// maxStatus is some four times the longest status file.
const maxStatus = 8 << 10

// measure reads every thread's rights. Threads that were started since have what
// the ones that started them had.
func (t threads) measure() ([]Measure, error) {
	all, err := t.status()
	if err != nil {
		return nil, err
	}
	user := Measure{Name: measureUser, Held: os.Getuid() != 0, Detail: fmt.Sprintf("uid %d", os.Getuid())}
	caps := all.measure(measureCapabilities, map[string]string{"CapInh": noCaps, "CapPrm": noCaps, "CapEff": noCaps, "CapAmb": noCaps})
	if bounding := all.measure("", map[string]string{"CapBnd": noCaps}); caps.Held && !bounding.Held {
		caps.Detail = "none; the bounding set could not be emptied, and gives nothing under no_new_privs"
	}
	return []Measure{
		user, caps,
		all.measure(measureNoNewPrivs, map[string]string{"NoNewPrivs": "1"}),
		all.measure(measureSeccomp, map[string]string{"Seccomp": "2"}), // SECCOMP_MODE_FILTER
	}, nil
}

// noCaps is an empty set of capabilities.
const noCaps = "0000000000000000"

// statuses are the fields of the threads' status files (proc(5)).
type statuses []map[string]string

func (t threads) status() (statuses, error) {
	var all statuses
	for _, f := range t {
		b := make([]byte, maxStatus)
		n, err := f.ReadAt(b, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if n == 0 {
			return nil, fmt.Errorf("reading a thread's status: %w", err)
		}
		all = append(all, parseStatus(string(b[:n])))
	}
	if len(all) == 0 {
		return nil, errors.New("reading our threads' status: none is left")
	}
	return all, nil
}

// measure holds where every thread has every wanted value.
func (all statuses) measure(name string, wanted map[string]string) Measure {
	for _, status := range all {
		for field, want := range wanted {
			if status[field] != want {
				return Measure{Name: name, Detail: fmt.Sprintf("%s is %q instead of %q", field, status[field], want)}
			}
		}
	}
	return Measure{Name: name, Held: true}
}

func parseStatus(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}
