// Package smolvmtest is a double of smolvm for tests: a program that takes smolvm's
// arguments, keeps smolvm's state, prints smolvm's words and ends with smolvm's exit
// codes, as the source of the public releases has them, and that runs the guest
// under gVisor, with the doors reached over sockets of its own as smolvm's are over
// vsock. It makes no machine, and it can be told to misbehave.
//
// The program itself is in the folder smolvm. Everything in which releases differ
// is in one table here.
package smolvmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bot-bottle/action/internal/testenv"
)

// Misbehaviour is one way in which the double does what smolvm should not.
type Misbehaviour string

// The misbehaviours.
const (
	AllowlistDropped  Misbehaviour = "allowlist-dropped"   // create forgets --allow-cidr, as 0.5.20 to 1.7.7 do with --from
	RowAsText         Misbehaviour = "row-as-text"         // rows are stored as TEXT
	RowIgnored        Misbehaviour = "row-ignored"         // start gives the VMM a network of its own choice
	RowOpensSocket    Misbehaviour = "row-opens-socket"    // create adds a socket that nobody asked for
	RowRunning        Misbehaviour = "row-running"         // create leaves a row that says it runs
	ConfigStale       Misbehaviour = "config-stale"        // start leaves the last run's agent.config.json
	AlreadyRunning    Misbehaviour = "already-running"     // start says so
	StartSilent       Misbehaviour = "start-silent"        // start doesn't say the process id
	StartWrongProcess Misbehaviour = "start-wrong-process" // start says the id of a process that isn't there
	GuestNetwork      Misbehaviour = "guest-network"       // the guest gets a network, and nothing that is written says so
	AnswersDNS        Misbehaviour = "answers-dns"         // the guest's questions are answered, whatever their address
	ExtraSocket       Misbehaviour = "extra-socket"        // the guest gets one more socket, and nothing that is written says so
	NoHardening       Misbehaviour = "no-hardening"        // the VMM goes without seccomp and no_new_privs
	VMMEnvironment    Misbehaviour = "vmm-environment"     // the VMM gets a variable that opens a way to the host
	DiesAfterStart    Misbehaviour = "dies-after-start"    // the VMM ends once start has said that it runs
	StopHangs         Misbehaviour = "stop-hangs"          // stop never ends
	DeleteLeavesVMM   Misbehaviour = "delete-leaves-vmm"   // delete forgets the machine and leaves its VMM, as 0.8.0 does
	VersionGarbage    Misbehaviour = "version-garbage"     // --version prints something else
	VersionHangs      Misbehaviour = "version-hangs"       // --version never ends
)

// Config is what the double is told, by the file ConfigFile in its libraries'
// folder: its environment is what is tested, and holds nothing.
type Config struct {
	Version       string         `json:"version"`
	Misbehaviours []Misbehaviour `json:"misbehaviours,omitempty"`
}

// ConfigFile is the name of the file that holds the Config.
const ConfigFile = "double.json"

// ReadConfig reads the Config from the libraries' folder.
func ReadConfig(libraries string) (Config, error) {
	var c Config
	body, err := os.ReadFile(filepath.Join(libraries, ConfigFile))
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		return c, fmt.Errorf("reading what the double is to be: %w", err)
	}
	return c, nil
}

// Install lays the double out below dir as a release of smolvm: bin/smolvm,
// lib with stand-ins for libkrun and libkrunfw, and share/smolvm/agent-rootfs. It
// gives the folder with the binary, for PATH.
func Install(t testing.TB, dir string, c Config) (bin string) {
	t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	program := testenv.Binary(t, "github.com/bot-bottle/action/internal/smolvmtest/smolvm")
	agent := filepath.Join(dir, "share", "smolvm", "agent-rootfs")
	err = errors.Join(
		os.MkdirAll(filepath.Join(dir, "bin"), 0o755), os.MkdirAll(filepath.Join(dir, "lib"), 0o755), os.MkdirAll(filepath.Join(agent, "bin"), 0o755),
		os.WriteFile(filepath.Join(dir, "lib", ConfigFile), body, 0o644),
		os.WriteFile(filepath.Join(dir, "lib", "libkrun.so.1"), []byte("a stand-in for libkrun\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "lib", "libkrunfw.so.5"), []byte("a stand-in for libkrunfw\n"), 0o644),
		os.WriteFile(filepath.Join(agent, "bin", "agent"), []byte("a stand-in for smolvm's agent\n"), 0o755),
		copyFile(filepath.Join(dir, "bin", "smolvm"), program))
	if err != nil {
		t.Fatalf("installing the double: %v", err)
	}
	return filepath.Join(dir, "bin")
}

func copyFile(to, from string) error {
	if err := os.Link(from, to); err == nil {
		return nil
	}
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, body, 0o755)
}
