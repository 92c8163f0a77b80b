package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
	"github.com/spf13/cobra"
)

// initFlags are the flags of `init`, and the answers where they are not given.
type initFlags struct {
	dir, name, provider, token string
	repositories, presets      []string
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a first bottle, by asking",
		Long: `Write a first bottle, by asking for what the flags don't say. Without a terminal
all of --name, --provider, --repository and --preset have to be given; an empty
one means none. A file that is there is left as it is.`,
		Example: `  bot-bottle init
  bot-bottle init --name claude-dev --provider claude --repository acme/web --preset npm`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return initBottle(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "", "folder to write to (default: ~/.bot-bottle/bottles)")
	flags.StringVar(&f.name, "name", "", "name of the bottle")
	flags.StringVar(&f.provider, "provider", "", "agent CLI: "+strings.Join(manifest.BuiltIn(), ", "))
	flags.StringVar(&f.token, "token", "", "reference to its credential: env:NAME, file:/path or credential:NAME (default: the provider's)")
	flags.StringSliceVar(&f.repositories, "repository", nil, "OWNER/NAME whose jobs on a runner may use it; repeatable")
	flags.StringSliceVar(&f.presets, "preset", nil, "packages that it may read: "+strings.Join(manifest.PresetNames(), ", ")+"; repeatable")
	return cmd
}

func initBottle(cmd *cobra.Command, f initFlags) error {
	if err := askForRest(cmd, &f); err != nil {
		return err
	}
	dir, err := initFolder(f.dir)
	if err != nil {
		return err
	}
	starter := manifest.Starter{Name: f.name, Template: f.provider, Repositories: some(f.repositories), Presets: some(f.presets)}
	if f.token != "" {
		if starter.Token, err = secret.ParseRef(f.token); err != nil {
			return term.Errorf(term.StageUsage, "--token", "%w", err).WithHint("write env:NAME, file:/path or credential:NAME; a token itself must not stand in a bottle")
		}
	}
	path, err := starter.Write(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", path)
	fmt.Fprintf(cmd.ErrOrStderr(), "hint: see what it allows: bot-bottle run --bottle %s --prompt hello --dry-run\n", f.name)
	return err
}

func initFolder(dir string) (string, error) {
	if dir != "" {
		return absolute(dir)
	}
	folders := homeFolder(manifest.Bottles, os.Getenv)
	if len(folders) == 0 {
		return "", term.Errorf(term.StageUsage, "--dir", "finding the folder: there is no home folder to write to").WithHint("name one: --dir %s/bottles", manifest.HostFolder)
	}
	return folders[0], nil
}

// some leaves out empty answers.
func some(list []string) []string {
	var rest []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			rest = append(rest, s)
		}
	}
	return rest
}

// question is one flag that can be asked for.
type question struct {
	flag, text, otherwise string
	set                   func(answer string)
}

func (f *initFlags) questions() []question {
	list := func(into *[]string) func(string) {
		return func(answer string) {
			*into = strings.FieldsFunc(answer, func(c rune) bool { return c == ' ' || c == ',' })
		}
	}
	return []question{
		{"provider", "Agent CLI (" + strings.Join(manifest.BuiltIn(), ", ") + ")", manifest.Claude, func(a string) { f.provider = a }},
		{"name", "Name of the bottle", "", func(a string) { f.name = a }},
		{"repository", "Repositories whose jobs on a runner may use it (OWNER/NAME ..., empty: none)", "", list(&f.repositories)},
		{"preset", "Packages that it may read (" + strings.Join(manifest.PresetNames(), " ") + ", empty: none)", "", list(&f.presets)},
	}
}

// askForRest asks on the terminal for what no flag says.
func askForRest(cmd *cobra.Command, f *initFlags) error {
	var open []question
	for _, q := range f.questions() {
		if !cmd.Flags().Changed(q.flag) {
			open = append(open, q)
		}
	}
	if len(open) == 0 {
		return nil
	}
	tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil || ledger.UnderRunner(os.Getenv) {
		return term.Errorf(term.StageUsage, "", "asking for --%s: there is no terminal", open[0].flag).
			WithHint("give all of --name, --provider, --repository and --preset; an empty one means none")
	}
	defer tty.Close()
	return answer(tty, open, f)
}

// maxAnswer bounds one line.
const maxAnswer = 4 << 10

func answer(tty io.ReadWriter, open []question, f *initFlags) error {
	lines := bufio.NewScanner(tty)
	lines.Buffer(nil, maxAnswer)
	for _, q := range open {
		otherwise := q.otherwise
		if q.flag == "name" {
			otherwise = f.provider + "-dev"
		}
		prompt := q.text
		if otherwise != "" {
			prompt += " [" + otherwise + "]"
		}
		fmt.Fprintf(tty, "%s: ", prompt)
		if !lines.Scan() {
			return term.Errorf(term.StageUsage, "", "reading an answer: %w", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
		}
		q.set(cmp.Or(strings.TrimSpace(lines.Text()), otherwise))
	}
	return nil
}
