package provider

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
)

// nodeTimeout is long for a program that prints its version, even from a cold disk.
const nodeTimeout = 10 * time.Second

// nodeProgram runs the script at path, of the package in dir, with the Node.js
// that is beside the program or on PATH.
func (c cli) nodeProgram(ctx context.Context, found, path, dir string, meta metadata, lookup func(string) (string, bool)) ([]string, []policy.Program, error) {
	node, err := c.findNode(ctx, filepath.Dir(found), meta, lookup)
	if err != nil {
		return nil, nil, err
	}
	script, err := filepath.Rel(dir, path)
	if err != nil {
		return nil, nil, c.unusable(found, err)
	}
	programs := []policy.Program{{Host: dir, Guest: c.guestDir()}}
	if !isHostTool(node) {
		guest := filepath.Join(policy.ProgramRoot, "node")
		programs = append(programs, policy.Program{Host: node, Guest: guest})
		node = guest
	}
	return []string{node, filepath.Join(c.guestDir(), script)}, programs, nil
}

// isHostTool tells whether the guest has the file anyway, at the same place.
func isHostTool(path string) bool {
	return strings.HasPrefix(path, "/usr/") && !strings.HasPrefix(path, "/usr/local/")
}

// findNode gives the first Node.js that is new enough, by its real path.
func (c cli) findNode(ctx context.Context, beside string, meta metadata, lookup func(string) (string, bool)) (string, error) {
	least := parseVersion(strings.TrimLeft(meta.Engines.Node, ">=^~v "))
	best := "there is none"
	for _, dir := range append([]string{beside}, places(lookup)...) {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, "node"))
		if err != nil {
			continue
		}
		has, err := nodeVersion(ctx, path)
		if err != nil {
			best = path + " does not run: " + err.Error()
			continue
		}
		if has.atLeast(least) {
			return path, nil
		}
		best = path + " is " + has.String()
	}
	return "", term.Errorf(term.StagePreflight, c.name, "looking for Node.js %s or newer, which %s needs: %s", least, c.title, best).
		WithHint("install Node.js from your distribution, with nvm, or from nodejs.org")
}

// nodeVersion asks a Node.js for its version, without anything of our environment.
func nodeVersion(ctx context.Context, path string) (version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return version{}, err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return version{}, os.ErrPermission
	}
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return parseVersion(string(out)), err
}
