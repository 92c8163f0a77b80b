package smolmachines

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrDiffers is wrapped where smolvm has something else than the plan.
var ErrDiffers = errors.New("smolvm has something else than what was planned")

// row is smolvm's record of a machine, as far as it says what the guest may reach
// (VmRecord in src/config.rs). Where a release doesn't know a field, it is missing.
type row struct {
	Name           string            `json:"name"`
	State          string            `json:"state"`
	PID            *int              `json:"pid"`
	CPUs           int               `json:"cpus"`
	MemoryMiB      int64             `json:"mem"`
	StorageGiB     *int64            `json:"storage_gb"`
	OverlayGiB     *int64            `json:"overlay_gb"`
	Mounts         []json.RawMessage `json:"mounts"` // [host, guest, read-only]
	Ports          []json.RawMessage `json:"ports"`
	Sockets        []rowSocket       `json:"published_sockets"`
	Network        bool              `json:"network"`
	NetworkBackend *string           `json:"network_backend"`
	AllowedCIDRs   *[]string         `json:"allowed_cidrs"`
	DNS            *string           `json:"dns"`
	DNSFilterHosts *[]string         `json:"dns_filter_hosts"`
	NetworkName    *string           `json:"network_name"`
	Image          *string           `json:"image"`
	Env            []json.RawMessage `json:"env"`
	Init           []string          `json:"init"`
	RemoteVolumes  []json.RawMessage `json:"remote_volumes"`
	SecretRefs     map[string]any    `json:"secret_refs"`
	Source         *string           `json:"source_smolmachine"`
	SSHAgent       bool              `json:"ssh_agent"`
	DockerSocket   bool              `json:"docker_socket"`
	CUDA           bool              `json:"cuda"`
	GPU            *bool             `json:"gpu"`
	Forkable       bool              `json:"forkable"`
	Golden         *string           `json:"golden"`
	HealthCommand  *[]string         `json:"health_cmd"`
}

type rowSocket struct {
	Direction string  `json:"direction"`
	Guest     string  `json:"guest_path"`
	Host      *string `json:"host_path"`
}

// difference is one field that isn't as planned.
type differences []string

func (d *differences) compare(field string, wanted, found any) {
	w, g := text(wanted), text(found)
	if w != g {
		*d = append(*d, fmt.Sprintf("%s: wanted %s, found %s", field, w, g))
	}
}

// set compares lists without regard to order and repetition.
func (d *differences) set(field string, wanted, found []string) {
	d.compare(field, asSet(wanted), asSet(found))
}

func (d differences) err(what string) error {
	if len(d) == 0 {
		return nil
	}
	return fmt.Errorf("comparing %s: %w: %s", what, ErrDiffers, strings.Join(d, "; "))
}

func asSet(list []string) []string {
	list = slices.Sorted(slices.Values(list))
	return append([]string{}, slices.Compact(list)...)
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// verifyRow compares the row of a machine that has never run with the plan.
func verifyRow(data []byte, m Machine) error {
	var r row
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%w: %w", ErrRowJSON, err)
	}
	var d differences
	d.compare("name", m.Name, r.Name)
	d.compare("state", "created", r.State)
	d.compare("pid", nil, r.PID)
	d.compare("cpus", m.CPUs, r.CPUs)
	d.compare("mem", m.MemoryMiB, r.MemoryMiB)
	d.compare("storage_gb", m.StorageGiB, r.StorageGiB)
	d.compare("overlay_gb", m.OverlayGiB, r.OverlayGiB)
	d.compareNetwork(m, r)
	d.set("mounts", m.mountTexts(), texts(r.Mounts))
	d.set("published_sockets", m.socketTexts(), r.socketTexts())
	d.compareImage(m, r.Image)
	d.compareNothing(r)
	return d.err("the row of the machine")
}

// compareNetwork wants the planned list, and neither names nor a network beside it.
func (d *differences) compareNetwork(m Machine, r row) {
	d.compare("network", m.network(), r.Network)
	d.compareList(m, r.AllowedCIDRs)
	d.compareBackend(m, r.NetworkBackend)
	d.compare("ports", 0, len(r.Ports))
	d.compare("dns", nil, r.DNS)
	d.compare("dns_filter_hosts", nil, r.DNSFilterHosts)
	d.compare("network_name", nil, r.NetworkName)
}

// compareList: a missing list allows everything where there is a network, and
// nothing where there is none; an empty one means none in both.
func (d *differences) compareList(m Machine, found *[]string) {
	switch {
	case m.network() && found == nil:
		d.compare("allowed_cidrs", m.AllowCIDRs, nil)
	case found != nil:
		d.set("allowed_cidrs", m.AllowCIDRs, *found)
	}
}

func (d *differences) compareBackend(m Machine, found *string) {
	if m.network() && found != nil && *found == "tsi" {
		return // said aloud instead of by default
	}
	d.compare("network_backend", nil, found)
}

// compareImage knows how smolvm writes a folder down.
func (d *differences) compareImage(m Machine, found *string) {
	if m.Image == "" {
		d.compare("image", nil, found)
		return
	}
	d.compare("image", "local-dir:"+m.Image, found)
}

// compareNothing wants everything absent that would be one more way out.
func (d *differences) compareNothing(r row) {
	d.compare("ssh_agent", false, r.SSHAgent)
	d.compare("docker_socket", false, r.DockerSocket)
	d.compare("cuda", false, r.CUDA)
	d.compare("gpu", false, r.GPU != nil && *r.GPU)
	d.compare("forkable", false, r.Forkable)
	d.compare("golden", nil, r.Golden)
	d.compare("source_smolmachine", nil, r.Source)
	d.compare("env", 0, len(r.Env)+len(r.SecretRefs))
	d.compare("init", 0, len(r.Init))
	d.compare("remote_volumes", 0, len(r.RemoteVolumes))
	d.compare("health_cmd", nil, r.HealthCommand)
}

// mountTexts are m's shares as the row has them.
func (m Machine) mountTexts() []string {
	var all []string
	for _, s := range m.Shares {
		all = append(all, text([]any{s.Host, s.Guest, true}))
	}
	return all
}

func (m Machine) socketTexts() []string {
	var all []string
	for _, s := range m.Sockets {
		all = append(all, text(rowSocket{"mount", s.Guest, &s.Host}))
	}
	return all
}

func (r row) socketTexts() []string {
	var all []string
	for _, s := range r.Sockets {
		all = append(all, text(s))
	}
	return all
}

// texts gives each value in the form that text has, so that spaces don't count.
func texts(values []json.RawMessage) []string {
	var all []string
	for _, v := range values {
		all = append(all, text(v))
	}
	return all
}

// running is agent.config.json: what smolvm handed to the VMM (RunningVmConfig in
// src/agent/manager.rs). It does not hold the sockets.
type running struct {
	Version int `json:"version"`
	Mounts  []struct {
		Source   string `json:"source"`
		Target   string `json:"target"`
		ReadOnly bool   `json:"read_only"`
	} `json:"mounts"`
	Ports     []json.RawMessage `json:"ports"`
	Forkable  bool              `json:"forkable"`
	Resources *struct {
		CPUs           int       `json:"cpus"`
		MemoryMiB      int64     `json:"memory_mib"`
		Network        bool      `json:"network"`
		NetworkBackend *string   `json:"network_backend"`
		GPU            bool      `json:"gpu"`
		CUDA           bool      `json:"cuda"`
		StorageGiB     *int64    `json:"storage_gib"`
		OverlayGiB     *int64    `json:"overlay_gib"`
		AllowedCIDRs   *[]string `json:"allowed_cidrs"`
		DNS            *string   `json:"dns"`
		NetworkName    *string   `json:"network_name"`
	} `json:"resources"`
}

// runningVersion is the only one that any read release writes.
const runningVersion = 1

// verifyRunning compares what the VMM was handed with the plan.
func verifyRunning(data []byte, m Machine) error {
	var c running
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("reading what the VMM was handed: %w", err)
	}
	if c.Version != runningVersion || c.Resources == nil {
		return fmt.Errorf("reading what the VMM was handed: it is of version %d", c.Version)
	}
	var d differences
	var mounts []string
	for _, s := range c.Mounts {
		mounts = append(mounts, text([]any{s.Source, s.Target, s.ReadOnly}))
	}
	d.set("mounts", m.mountTexts(), mounts)
	d.compare("ports", 0, len(c.Ports))
	d.compare("forkable", false, c.Forkable)
	r := c.Resources
	d.compare("cpus", m.CPUs, r.CPUs)
	d.compare("memory_mib", m.MemoryMiB, r.MemoryMiB)
	d.compare("storage_gib", m.StorageGiB, r.StorageGiB)
	d.compare("overlay_gib", m.OverlayGiB, r.OverlayGiB)
	d.compare("network", m.network(), r.Network)
	d.compareBackend(m, r.NetworkBackend)
	d.compareList(m, r.AllowedCIDRs)
	d.compare("gpu", false, r.GPU)
	d.compare("cuda", false, r.CUDA)
	d.compare("dns", nil, r.DNS)
	d.compare("network_name", nil, r.NetworkName)
	return d.err("what the VMM was handed")
}

// startedLine is how `machine start` tells that it has started a machine.
var startedLine = regexp.MustCompile(`(?m)^Machine '([A-Za-z0-9_-]{1,128})' running \(PID: ([0-9]{1,10})\)$`)

// Errors of what `machine start` says.
var (
	ErrAlreadyRunning = errors.New("the machine runs already, with a policy that nobody looked at")
	ErrNotStarted     = errors.New("smolvm doesn't say that it has started the machine")
)

// parseStarted gives the VMM's process id from what `machine start` printed.
func parseStarted(stdout, name string) (pid int, err error) {
	if strings.Contains(stdout, "already running") {
		return 0, ErrAlreadyRunning
	}
	found := startedLine.FindAllStringSubmatch(stdout, -1)
	if len(found) != 1 || found[0][1] != name {
		return 0, fmt.Errorf("%w: it printed %.200q", ErrNotStarted, stdout)
	}
	pid, err = strconv.Atoi(found[0][2])
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%w: %s is no process id", ErrNotStarted, found[0][2])
	}
	return pid, nil
}
