package hostproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/backends"
)

// Descendants gives the ids of all processes below pid, which is one of ours.
func Descendants(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	children := map[int][]int{}
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			if parent, ok := Parent(child); ok {
				children[parent] = append(children[parent], child)
			}
		}
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all, nil
}

// Parent reads PPid of /proc/PID/status; false where the process is gone.
func Parent(pid int) (int, bool) {
	fields, err := Status(pid)
	if err != nil {
		return 0, false
	}
	parent, err := strconv.Atoi(fields["PPid"])
	return parent, err == nil
}

// Status gives the fields of /proc/PID/status by name (proc(5)).
func Status(pid int) (map[string]string, error) {
	return readFields(fmt.Sprintf("/proc/%d/status", pid))
}

// Capabilities gives the named sets ("CapPrm", …) of the process pid: what any of
// its threads has, because each has sets of its own (capabilities(7)).
func Capabilities(pid int, sets ...string) ([]string, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/status", pid))
	if err == nil && len(tasks) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	all := make([]uint64, len(sets))
	for _, task := range tasks {
		fields, err := readFields(task)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		for i, name := range sets {
			has, err := strconv.ParseUint(fields[name], 16, 64)
			if err != nil {
				return nil, fmt.Errorf("reading %s of %q: %w", name, task, err)
			}
			all[i] |= has
		}
	}
	words := make([]string, len(sets))
	for i := range sets {
		words[i] = fmt.Sprintf("%016x", all[i])
	}
	return words, nil
}

func readFields(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields, nil
}

// Argv0 gives the last element of the name by which the process calls itself, "" where
// it is gone.
func Argv0(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, _, _ := strings.Cut(string(b), "\x00")
	return filepath.Base(name)
}

// Read describes the process pid under the given name. It takes the right to trace
// the process (ptrace(2)).
func Read(name string, pid int) (backends.Process, error) {
	p, err := readStatus(name, pid)
	if err != nil {
		return p, err
	}
	for ns, same := range map[string]*bool{"net": &p.HostNetwork, "user": &p.HostUsers, "pid": &p.HostProcesses} {
		if *same, err = sameNamespace(pid, ns); err != nil {
			return p, err
		}
	}
	return p, nil
}

// ReadPublic describes the process pid by what everybody may see of it, which is all
// but HostNetwork: that it leaves false.
func ReadPublic(name string, pid int) (backends.Process, error) {
	p, err := readStatus(name, pid)
	if err != nil {
		return p, err
	}
	fields, err := Status(pid)
	if err != nil {
		return p, err
	}
	p.HostProcesses = len(strings.Fields(fields["NSpid"])) < 2 // one number for each pid namespace down from ours
	theirs, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", pid))
	if err != nil {
		return p, err
	}
	ours, err := os.ReadFile("/proc/self/uid_map")
	p.HostUsers = string(theirs) == string(ours)
	return p, err
}

func readStatus(name string, pid int) (backends.Process, error) {
	fields, err := Status(pid)
	if err != nil {
		return backends.Process{}, err
	}
	uid, err := strconv.Atoi(strings.Fields(fields["Uid"] + " - -")[1])
	if err != nil {
		return backends.Process{}, fmt.Errorf("reading its user: %w", err)
	}
	return backends.Process{Name: name, PID: pid, UserID: uid, NoNewPrivs: fields["NoNewPrivs"] == "1", Seccomp: fields["Seccomp"] == "2"}, nil
}

// sameNamespace compares the namespace of pid with ours (namespaces(7)).
func sameNamespace(pid int, kind string) (bool, error) {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if err != nil {
		return false, fmt.Errorf("reading its %s namespace: %w", kind, err)
	}
	ours, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		return false, fmt.Errorf("reading our %s namespace: %w", kind, err)
	}
	return theirs == ours, nil
}

// Interfaces lists those of pid's network namespace: the lines of net/dev after
// its two heading lines, up to the colon (proc(5)).
func Interfaces(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return nil, fmt.Errorf("reading the guest's network interfaces: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Mount is one line of a process's mount table.
type Mount struct {
	Device   string // major:minor of its file system; the same for every mount of one
	Root     string // what of the file system is mounted; "/" is all
	Target   string // as the process sees it
	ReadOnly bool   // of this mount
	Type     string // of its file system
}

// Mounts gives the mounts that the process pid sees, from its mountinfo (proc(5)).
func Mounts(pid int) ([]Mount, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, fmt.Errorf("reading the mounts of process %d: %w", pid, err)
	}
	var found []Mount
	for line := range strings.Lines(string(b)) {
		if m, ok := parseMount(line); ok {
			found = append(found, m)
		}
	}
	return found, nil
}

// parseMount reads: id, parent, device, root, target, options, optional fields, "-",
// type, source, options of the file system.
func parseMount(line string) (Mount, bool) {
	f := strings.Fields(line)
	end := slices.Index(f, "-")
	if end < 6 || len(f) < end+2 {
		return Mount{}, false
	}
	return Mount{Device: f[2], Root: f[3], Target: unescape(f[4]), ReadOnly: strings.HasPrefix(f[5]+",", "ro,"), Type: f[end+1]}, true
}

// unescape undoes the kernel's octal escapes of white space and backslash.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// Names lists the folder dir of the host, sorted.
func Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing %q: %w", dir, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}
