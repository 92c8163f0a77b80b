package attack

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Leaving is what the guest is told to leave behind when its work ends.
type Leaving string

// What an agent may leave.
const (
	// LeaveHonest is a change that may pass, beside orders to the runner in what
	// the agent prints.
	LeaveHonest Leaving = "honest"
	// LeaveHostile are changes of which none may pass.
	LeaveHostile Leaving = "hostile"
	// LeaveRuins are a repository whose objects are overwritten, and all memory
	// taken.
	LeaveRuins Leaving = "ruins"
)

// What is left, and what is printed, by which the host knows it again.
const (
	HonestFile = "honest.txt"
	Survived   = "the hog survived"
)

// Orders are lines that one runner or another obeys (GitHub's and Gitea's runners,
// nektos/act).
func Orders(canary string) []string {
	return []string{
		"::add-path::/" + canary, "  ::set-env name=X::" + canary, "\t::set-output name=" + canary + "::x", "##[add-path]/" + canary,
		"text ##[set-env name=X;]" + canary, "::stop-commands::" + canary, "x\r::debug::" + canary, "\ufeff::warning::" + canary,
		"\x1b]0;" + canary + "\a", "\x1b[2J\x1b]52;c;Y2FuYXJ5\a", "::error file=a\\b%0A::" + canary, "\u0085::notice::" + canary,
	}
}

// leave does as it is told in the workspace, and prints what an agent would.
func leave(plan Plan, stdout io.Writer) error {
	switch plan.Leave {
	case LeaveHonest:
		fmt.Fprintf(stdout, "%s\n%s\n", plan.Twin["R01"], strings.Join(Orders(plan.Canary["R01"]), "\n"))
		return os.WriteFile(HonestFile, []byte(plan.Twin["R01"]+"\n"), 0o644)
	case LeaveHostile:
		leaveLinks()
		leaveAutoRuns()
		return leaveNames()
	case LeaveRuins:
		if err := spoilObjects(); err != nil {
			return err
		}
		takeMemory()
		_, err := fmt.Fprintln(stdout, Survived)
		return err
	}
	return fmt.Errorf("there is nothing called %q to leave", plan.Leave)
}

// Links are what git would make of files that lead out of the workspace.
var Links = map[string]string{"link-to-etc": "/etc/passwd", "link-up": "../../../../outside", "folder-link": "/tmp"}

// Silent are left too; they may not pass, and need not be mentioned.
var Silent = []string{"fifo", "setuid", "CASE.txt"}

func leaveLinks() {
	for name, to := range Links {
		os.Symlink(to, name)
	}
	os.WriteFile("CASE.txt", []byte("collides with case.txt\n"), 0o644)
	syscall.Mkfifo("fifo", 0o666)
	os.WriteFile("setuid", []byte("#!/bin/sh\n"), 0o755)
	os.Chmod("setuid", 0o755|os.ModeSetuid|os.ModeSetgid)
}

// AutoRuns are files that some tool runs by itself.
var AutoRuns = []string{".vscode/tasks.json", ".claude/settings.json", ".husky/pre-commit", ".envrc", ".github/workflows/ci.yml", "sub/.gitattributes", ".hg/hgrc"}

func leaveAutoRuns() {
	for _, name := range AutoRuns {
		os.MkdirAll(filepath.Dir(name), 0o755)
		os.WriteFile(name, []byte("x\n"), 0o755)
	}
}

// HostileNames are paths that the guest can make; Forged those that only a git that
// lies can name.
var (
	HostileNames = []string{"esc\x1b]0;x", "VSCODE~1/tasks.json", "case.txt"}
	Forged       = []string{"../outside", ".git/hooks/post-checkout", "sub/.GIT/config", "inner/.git/config", "GIT~1/config"}
)

// leaveNames makes files of hostile names, and has root's git name those that no
// honest one prints.
func leaveNames() error {
	for _, name := range HostileNames {
		os.MkdirAll(filepath.Dir(name), 0o755)
		if err := os.WriteFile(name, []byte("x\n"), 0o644); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		return nil
	}
	real, err := exec.LookPath("git")
	if err != nil {
		return err
	}
	var lies strings.Builder
	for _, name := range Forged {
		lies.WriteString(newFile(name))
	}
	if err := os.WriteFile("/tmp/lies", []byte(lies.String()), 0o644); err != nil {
		return err
	}
	script := "#!/bin/sh\ncase \" $* \" in *' diff '*) " + real + " \"$@\"; cat /tmp/lies;; *) exec " + real + " \"$@\";; esac\n"
	if err := os.MkdirAll("/usr/local/bin", 0o755); err != nil {
		return nil // the image can't be written to: there is no lying git
	}
	os.WriteFile("/usr/local/bin/git", []byte(script), 0o755)
	return nil
}

// newFile is a patch that makes a file, as git prints it.
func newFile(name string) string {
	id := sha1.Sum([]byte("blob 2\x00x\n"))
	return fmt.Sprintf("diff --git a/%[1]s b/%[1]s\nnew file mode 100644\nindex %040[2]d..%[3]x\n--- /dev/null\n+++ b/%[1]s\n@@ -0,0 +1 @@\n+x\n", name, 0, id)
}

// spoilObjects overwrites all that git keeps, in place.
func spoilObjects() error {
	return filepath.WalkDir(".git/objects", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		os.Chmod(path, 0o644)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		_, err = f.Write(bytes.Repeat([]byte("spoilt "), int(info.Size())/7+1)[:info.Size()])
		return err
	})
}

// takeMemory touches twice what the suite's policy gives, page by page.
func takeMemory() {
	const page = 4096
	for range 2 {
		block := make([]byte, MemoryBytes)
		for i := 0; i < len(block); i += page {
			block[i] = 1
		}
		hog = append(hog, block)
	}
}

var hog [][]byte // what is taken stays taken
