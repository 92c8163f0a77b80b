package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
	xterm "golang.org/x/term"
)

// promptOf gives the task in words, from the flag or the file that the other
// flag names, "-" for stdin.
func promptOf(f runFlags, stdin io.Reader) (string, error) {
	switch {
	case f.prompt != "" && f.promptFile != "":
		return "", term.Errorf(term.StageUsage, "--prompt", "reading the task: it is given twice, by --prompt and by --prompt-file").
			WithHint("leave out one of the two")
	case f.promptFile == "":
		return f.prompt, nil
	case f.promptFile == "-":
		return readPrompt("standard input", stdin)
	}
	file, err := openPrompt(f.promptFile)
	if err != nil {
		return "", term.Errorf(term.StageUsage, "--prompt-file", "opening the task %q: %w", f.promptFile, err).
			WithHint("name a regular file, or - for standard input")
	}
	defer file.Close()
	return readPrompt(f.promptFile, file)
}

// openPrompt opens without waiting for a writer, which a FIFO would require.
func openPrompt(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, errors.New("it is not a regular file")
	}
	return file, nil
}

func readPrompt(name string, r io.Reader) (string, error) {
	wrong := func(hint, format string, args ...any) error {
		return term.Errorf(term.StageUsage, "--prompt-file", "reading the task from %q: "+format, append([]any{name}, args...)...).WithHint("%s", hint)
	}
	b, err := io.ReadAll(io.LimitReader(r, runner.MaxPrompt+1))
	switch {
	case err != nil:
		return "", wrong("check that it can be read", "%w", err)
	case len(b) > runner.MaxPrompt:
		return "", wrong("put what is long into a file of the workspace and name it", "it has more than %d bytes", runner.MaxPrompt)
	case strings.TrimSpace(string(b)) == "":
		return "", wrong("write what the agent is to do", "it is empty")
	case !utf8.Valid(b):
		return "", wrong("save it as UTF-8", "it is not in UTF-8")
	}
	return string(b), nil
}

// terminal is where a person is asked, whatever stdin and stdout lead to.
const terminal = "/dev/tty"

// asker gives what asks a person for a secret, or nil where there is no terminal,
// or a runner.
func asker(getenv func(string) string) func(name, prompt string) (secret.Value, error) {
	if ledger.UnderRunner(getenv) || !onTerminal() {
		return nil
	}
	return func(name, prompt string) (secret.Value, error) {
		tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
		if err != nil {
			return secret.Value{}, err
		}
		defer tty.Close()
		if prompt == "" {
			prompt = name
		}
		fmt.Fprintf(tty, "%s: ", prompt)
		b, err := xterm.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		if err != nil {
			return secret.Value{}, fmt.Errorf("reading from the terminal: %w", err)
		}
		return secret.New(name, string(b)), nil
	}
}

func onTerminal() bool {
	tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}
