package preflight

import (
	"io/fs"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
)

// Host is the machine as its checks see it.
type Host struct {
	Files  fs.FS               // the host's files, from its root
	Getenv func(string) string // the environment of the process
	UID    int
}

// ThisHost is the machine that this process runs on.
func ThisHost() Host { return Host{Files: os.DirFS("/"), Getenv: os.Getenv, UID: os.Getuid()} }

// read gives a small file of the host without the space around it; empty where it
// can't be read.
func (h Host) read(name string) string {
	b, _ := fs.ReadFile(h.Files, strings.TrimPrefix(name, "/"))
	return strings.TrimSpace(string(b))
}

func (h Host) exists(name string) bool {
	_, err := fs.Stat(h.Files, strings.TrimPrefix(name, "/"))
	return err == nil
}

// distribution gives the ids that the host's distribution goes by, its own first:
// ID and ID_LIKE of os-release(5).
func (h Host) distribution() []string {
	var id, like string
	for line := range strings.Lines(h.read("/etc/os-release")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "ID":
			id = value
		case "ID_LIKE":
			like = value
		}
	}
	return strings.Fields(id + " " + like)
}

func (h Host) userName() string {
	if u, err := user.LookupId(strconv.Itoa(h.UID)); err == nil {
		return u.Username
	}
	return strconv.Itoa(h.UID)
}

// again says how this process gets groups that its user was given since.
func (h Host) again() string {
	switch service := h.service(); {
	case service != "":
		return "`systemctl restart " + service + "`"
	case h.container() != "":
		return "start the container again"
	}
	return "log in again"
}

// service gives the systemd service that this process runs in, by the last
// component of its control group (cgroups(7)).
func (h Host) service() string {
	if name := path.Base(h.controlGroup()); strings.HasSuffix(name, ".service") && !strings.HasPrefix(name, "user@") {
		return name
	}
	return ""
}

// controlGroup is this process's in the unified hierarchy, or in systemd's own of
// version 1.
func (h Host) controlGroup() (named string) {
	for line := range strings.Lines(h.read("/proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) < 3:
		case parts[0] == "0" && parts[2] != "/":
			return parts[2]
		case parts[1] == "name=systemd":
			named = parts[2]
		}
	}
	return named
}

// container tells what kind of container this is: "pod", "container", or "" on a
// host.
func (h Host) container() string {
	switch {
	case h.Getenv("KUBERNETES_SERVICE_HOST") != "" || h.exists("/var/run/secrets/kubernetes.io"):
		return "pod"
	case h.exists("/.dockerenv"), h.exists("/run/.containerenv"):
		return "container"
	}
	return ""
}
