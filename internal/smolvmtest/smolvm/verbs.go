package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/smolvmtest"
)

// create writes a row; nothing is started.
func (w *world) create(args []string) (int, error) {
	options := []string{"--cpus", "--mem", "--storage", "--overlay", "--volume", "--allow-cidr", "--image", "--from"}
	if w.release.NameFlag {
		options = append(options, "--name")
	}
	if w.release.MountSocket {
		options = append(options, "--mount-socket")
	}
	p, err := parse(args, options, []string{"--net"}, map[string]string{"-n": "--name", "-v": "--volume", "-I": "--image"})
	if err != nil {
		return usage, err
	}
	if _, err := p.machine(w.release.NameFlag); err != nil {
		return usage, err
	}
	r, err := w.newRecord(p)
	if err != nil {
		return 1, err
	}
	if err := os.MkdirAll(w.folder(r.Name), 0o755); err != nil {
		return 1, err
	}
	if err := w.save(r, true); err != nil {
		return 1, err
	}
	fmt.Printf("Created machine: %s\n  CPUs: %d\n", r.Name, r.CPUs)
	if w.config.Does(smolvmtest.ConfigStale) {
		return 0, w.hand(r) // as if it had run before
	}
	return 0, nil
}

func (w *world) newRecord(p parsed) (record, error) {
	r := record{
		CreatedAt: uint64(time.Now().Unix()), State: "created", CPUs: 4, Memory: 8192,
		Mounts: []mount{}, Ports: [][2]int{}, Sockets: []socket{}, Env: [][2]string{}, Entrypoint: []string{}, Cmd: []string{}, Init: []string{},
		Restart: map[string]any{"policy": "no"}, RemoteVolumes: []map[string]any{},
	}
	var err error
	if r.Name, err = p.machine(w.release.NameFlag); err != nil {
		return r, err
	}
	if v := p.one("--cpus"); v != "" {
		r.CPUs, _ = strconv.Atoi(v)
	}
	if v := p.one("--mem"); v != "" {
		r.Memory, _ = strconv.ParseInt(v, 10, 64)
	}
	r.StorageGB, r.OverlayGB = number(p.one("--storage")), number(p.one("--overlay"))
	for _, v := range p.values["--volume"] {
		parts := strings.Split(v, ":")
		r.Mounts = append(r.Mounts, mount{parts[0], parts[1], len(parts) == 3 && parts[2] == "ro"})
	}
	for _, v := range p.values["--mount-socket"] {
		host, guest, _ := strings.Cut(v, ":")
		r.Sockets = append(r.Sockets, socket{"mount", guest, host})
	}
	w.misrecord(&r)
	return r, errors.Join(w.image(&r, p), w.network(&r, p))
}

func (w *world) misrecord(r *record) {
	if w.config.Does(smolvmtest.RowOpensSocket) {
		r.Sockets = append(r.Sockets, socket{"expose", "/tmp/x.sock", ""})
	}
	if w.config.Does(smolvmtest.RowRunning) {
		pid := os.Getpid()
		r.State, r.PID = "running", &pid
	}
}

func number(s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// image writes a folder down by its real path.
func (w *world) image(r *record, p parsed) error {
	image := p.one("--image")
	if image == "" {
		return nil
	}
	info, err := os.Stat(image)
	if !w.release.LocalImage || err != nil || !info.IsDir() {
		return fmt.Errorf("image '%s' can't be pulled: the machine has no network", image)
	}
	ref := "local-dir:" + image
	r.Image = &ref
	return nil
}

// network: a list implies one. With --from older releases drop the list.
func (w *world) network(r *record, p parsed) error {
	r.Network = p.has("--net")
	dropped := p.has("--from") && !w.release.FromKeepsList || w.config.Does(smolvmtest.AllowlistDropped)
	if list := p.values["--allow-cidr"]; len(list) > 0 && !dropped {
		r.Network, r.AllowedCIDRs = true, list
	}
	if p.has("--from") {
		source := p.one("--from")
		r.Source = &source
	}
	return nil
}

// start starts the VMM, says its process id and ends.
func (w *world) start(args []string) (int, error) {
	p, err := parse(args, []string{"--name"}, nil, nameFlag)
	if err != nil {
		return usage, err
	}
	name, _ := p.machine(true)
	r, err := w.load(name)
	if err != nil {
		return 1, err
	}
	if r.PID != nil && alive(*r.PID) || w.config.Does(smolvmtest.AlreadyRunning) {
		fmt.Printf("Machine '%s' already running (PID: %d)\n", name, os.Getpid())
		return 0, nil
	}
	fmt.Fprintf(os.Stderr, "Starting machine '%s'...\n", name)
	pid, err := w.startVMM(name)
	if err != nil {
		return 1, err
	}
	if !w.config.Does(smolvmtest.ConfigStale) {
		err = w.hand(r)
	}
	if err != nil {
		return 1, err
	}
	r.State, r.PID = "running", &pid
	if err := w.save(r, false); err != nil {
		return 1, err
	}
	w.say(name, pid)
	return 0, nil
}

func (w *world) say(name string, pid int) {
	switch {
	case w.config.Does(smolvmtest.StartSilent):
		fmt.Println("Started.")
	case w.config.Does(smolvmtest.StartWrongProcess):
		fmt.Printf("Machine '%s' running (PID: %d)\n", name, 999_999)
	default:
		fmt.Printf("Machine '%s' running (PID: %d)\n", name, pid)
	}
}

// startVMM starts the VMM in a session of its own and waits until it is ready.
func (w *world) startVMM(name string) (int, error) {
	ready, writer, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", "_boot-vm", name)
	cmd.Env = w.vmmEnvironment()
	cmd.ExtraFiles = []*os.File{writer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	writer.Close()
	if err != nil {
		return 0, err
	}
	if answer, err := io.ReadAll(ready); err != nil || string(answer) != "ready" {
		return 0, errors.New("agent did not become ready within 30 seconds")
	}
	return cmd.Process.Pid, nil
}

// vmmEnvironment is what smolvm adds for its VMM: a search path for libkrunfw, and
// how the guest's agent says that it is ready.
func (w *world) vmmEnvironment() []string {
	exe, _ := os.Executable() // of a running program
	beside := filepath.Dir(exe)
	env := append(os.Environ(), "SMOLVM_BOOT_WATCH_PARENT=0", "SMOLVM_READY_MARKER=.ready-1",
		"LD_LIBRARY_PATH="+strings.Join([]string{os.Getenv("SMOLVM_LIB_DIR"), beside, filepath.Join(beside, "lib")}, ":"))
	if w.config.Does(smolvmtest.VMMEnvironment) {
		env = append(env, "SMOLVM_GUEST_HOST_SERVICE=80:80")
	}
	return env
}

// hand writes agent.config.json.
func (w *world) hand(r record) error {
	mounts := []map[string]any{}
	for _, m := range r.Mounts {
		mounts = append(mounts, map[string]any{"source": m.Host, "target": m.Guest, "read_only": m.ReadOnly})
	}
	if w.config.Does(smolvmtest.RowIgnored) {
		r.Network, r.AllowedCIDRs = true, nil
	}
	body, err := json.Marshal(map[string]any{
		"version": 1, "mounts": mounts, "ports": []any{}, "forkable": false,
		"resources": map[string]any{
			"cpus": r.CPUs, "memory_mib": r.Memory, "network": r.Network, "gpu": false, "gpu_vram_mib": nil, "cuda": false, "rosetta": false,
			"storage_gib": r.StorageGB, "overlay_gib": r.OverlayGB, "allowed_cidrs": r.AllowedCIDRs, "dns": nil,
		},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.folder(r.Name), "agent.config.json"), body, 0o644)
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// exec asks the VMM to run a command, and gives its exit code.
func (w *world) exec(args []string) (int, error) {
	p, err := parse(args, []string{"--name"}, nil, nil)
	if err != nil || len(p.after) == 0 {
		return usage, errors.Join(err, errors.New("the following required arguments were not provided: <COMMAND>"))
	}
	name, _ := p.machine(true)
	conn, err := net.Dial("unix", filepath.Join(w.folder(name), "agent.sock"))
	if err != nil {
		return 1, fmt.Errorf("machine '%s' is not running", name)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(p.after); err != nil {
		return 1, err
	}
	var code int
	if err := json.NewDecoder(conn).Decode(&code); err != nil {
		return 1, fmt.Errorf("agent connection lost: %w", err)
	}
	return code, nil
}

func (w *world) stop(args []string) (int, error) {
	p, err := parse(args, []string{"--name"}, nil, nameFlag)
	if err != nil {
		return usage, err
	}
	if w.config.Does(smolvmtest.StopHangs) {
		time.Sleep(time.Hour) // longer than anybody waits
	}
	name, _ := p.machine(true)
	r, err := w.load(name)
	if errors.Is(err, errMissing) && !w.release.StopMissingFails {
		fmt.Printf("Machine '%s' not found or not running\n", name)
		return 0, nil
	}
	if err != nil {
		return 1, err
	}
	if r.PID == nil {
		fmt.Printf("Machine '%s' is not running (state: %s)\n", name, r.State)
		return 0, nil
	}
	fmt.Printf("Stopping machine '%s'...\n", name)
	syscall.Kill(*r.PID, syscall.SIGKILL)
	r.State, r.PID = "stopped", nil
	fmt.Printf("Stopped machine: %s\n", name)
	return 0, w.save(r, false)
}

// delete without --force asks, and takes an end of input for a no.
func (w *world) delete(args []string) (int, error) {
	var options []string
	if w.release.NameFlag {
		options = []string{"--name"}
	}
	p, err := parse(args, options, []string{"--force"}, nameFlag)
	if err != nil {
		return usage, err
	}
	name, err := p.machine(w.release.NameFlag)
	if err != nil {
		return usage, err
	}
	r, err := w.load(name)
	if err != nil {
		return 1, err
	}
	if !p.has("--force") {
		fmt.Println("Cancelled")
		return 0, nil
	}
	if r.PID != nil && w.release.DeleteStops && !w.config.Does(smolvmtest.DeleteLeavesVMM) {
		syscall.Kill(*r.PID, syscall.SIGKILL)
	}
	fmt.Printf("Cleaning up data directory: %s\n", w.folder(name))
	if err := errors.Join(os.RemoveAll(w.folder(name)), w.remove(name)); err != nil {
		return 1, err
	}
	fmt.Printf("Deleted machine: %s\n", name)
	return 0, nil
}

func (w *world) status(args []string) (int, error) {
	p, err := parse(args, []string{"--name"}, []string{"--json"}, nameFlag)
	if err != nil {
		return usage, err
	}
	name, _ := p.machine(true)
	r, err := w.load(name)
	if err != nil {
		return 1, err
	}
	if p.has("--json") {
		return 0, json.NewEncoder(os.Stdout).Encode(map[string]any{"name": r.Name, "state": r.State, "pid": r.PID, "network": r.Network, "mounts": len(r.Mounts)})
	}
	if r.PID != nil {
		fmt.Printf("Machine '%s': running (PID: %d)\n", name, *r.PID)
	} else {
		fmt.Printf("Machine '%s': not running\n", name)
	}
	return 0, nil
}

func (w *world) ls([]string) (int, error) {
	db, err := w.database()
	if err != nil {
		return 1, err
	}
	defer db.Close()
	rows, err := db.Query(`SELECT name FROM vms ORDER BY name`)
	if err != nil {
		return 1, err
	}
	defer rows.Close()
	names := []map[string]string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return 1, err
		}
		names = append(names, map[string]string{"name": name})
	}
	return 0, errors.Join(rows.Err(), json.NewEncoder(os.Stdout).Encode(names))
}

func (*world) egressEvents([]string) (int, error) {
	fmt.Println("[]")
	return 0, nil
}
